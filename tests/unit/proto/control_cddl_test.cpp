#include <doctest/doctest.h>

#include <cctype>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "control.h"

namespace {

// CDDL's "version-min" is C's "VERSION_MIN".
std::string upper(std::string text) {
    for (char &c : text)
        c = static_cast<char>(c == '-' ? '_' : std::toupper(static_cast<unsigned char>(c)));
    return text;
}

std::string read(const char *name) {
    std::ifstream in(std::string(BERTH_SOURCE_DIR "/proto/") + name);
    REQUIRE_MESSAGE(in, name);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

// Names and numbers of one enum of control.h.
std::map<std::string, uint32_t> numbers_in(const std::string &header, const std::string &prefix) {
    std::map<std::string, uint32_t> found;
    for (size_t at = header.find(prefix); at != std::string::npos; at = header.find(prefix, at + 1)) {
        char name[64];
        unsigned number;
        if (std::sscanf(header.c_str() + at + prefix.size(), "%63[A-Z_] = %u", name, &number) == 2)
            found[name] = number;
    }
    return found;
}

struct Shape {
    std::string name;
    uint32_t type = 0;
    uint64_t required = 0, optional = 0;
};

// `name = {` begins a message, `[? ]number => kind, ; key-name` is a key, `}` ends it.
class Reader {
  public:
    Reader() : keys_(numbers_in(read("control.h"), "BERTH_KEY_")) {}

    // True when the line completed a message, which is then in shape().
    bool take(const std::string &line) {
        char word[64];
        int end = 0;
        if (std::sscanf(line.c_str(), "%63[a-z-] = {%n", word, &end) == 1 && end) {
            shape_ = Shape{};
            shape_.name = word;
            inside_ = true;
        } else if (inside_ && line == "}") {
            inside_ = false;
            return true;
        } else if (inside_) {
            take_key(line);
        }
        return false;
    }
    const Shape &shape() const { return shape_; }

  private:
    void take_key(const std::string &line) {
        static const std::map<std::string, uint8_t> kinds{
            {"uint", BERTH_FIELD_UINT},    {"ret", BERTH_FIELD_UINT},    {"outcome", BERTH_FIELD_UINT}, {"descriptor-bits", BERTH_FIELD_UINT},
            {"text", BERTH_FIELD_TEXT},    {"bytes", BERTH_FIELD_BYTES}, {"token", BERTH_FIELD_BYTES},
            {"method-ids", BERTH_FIELD_BYTES}};
        unsigned key = 0;
        char kind[64], name[64];
        bool optional = line.rfind("  ? ", 0) == 0;
        const char *at = line.c_str() + (optional ? 4 : 2);
        CAPTURE(line);
        REQUIRE(line.rfind("  ", 0) == 0);
        REQUIRE(std::sscanf(at, "%u => %63[a-z0-9-], ; %63[a-z-]", &key, kind, name) == 3);
        REQUIRE(keys_.count(upper(name)) == 1);
        CHECK(keys_.at(upper(name)) == key);
        if (key == BERTH_KEY_TYPE) {
            shape_.type = static_cast<uint32_t>(std::stoul(kind));
            return;
        }
        REQUIRE(kinds.count(kind) == 1);
        CHECK(kinds.at(kind) == berth_control_kinds[key]);
        (optional ? shape_.optional : shape_.required) |= uint64_t{1} << key;
    }

    std::map<std::string, uint32_t> keys_;
    Shape shape_;
    bool inside_ = false;
};

} // namespace

TEST_CASE("control.cddl names exactly the messages and keys of control.h") {
    auto types = numbers_in(read("control.h"), "BERTH_MSG_");
    std::istringstream cddl(read("control.cddl"));
    std::set<uint32_t> seen;
    Reader reader;
    for (std::string line; std::getline(cddl, line);) {
        if (!reader.take(line))
            continue;
        const Shape &shape = reader.shape();
        CAPTURE(shape.name);
        REQUIRE(shape.type > 0);
        REQUIRE(shape.type < BERTH_MSG_TYPE_COUNT);
        CHECK(types[upper(shape.name)] == shape.type);
        CHECK(upper(berth_control_shapes[shape.type].name) == upper(shape.name));
        CHECK(berth_control_shapes[shape.type].required == shape.required);
        CHECK(berth_control_shapes[shape.type].optional == shape.optional);
        CHECK(seen.insert(shape.type).second);
    }
    CHECK(seen.size() == BERTH_MSG_TYPE_COUNT - 1);
}
