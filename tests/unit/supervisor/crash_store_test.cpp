#include "supervisor/crash_store.h"

#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/crash_files.h"

using namespace berth;

namespace {

using Json = nlohmann::json;

CrashStore::Entry entry(uid_t uid, const std::string &module, int number) {
    Json report{{"module", module}, {"pid", number}, {"time_ms", 1000 + number}};
    return {{uid, 100, {}}, module, Json::to_cbor(report)};
}

Json reply(CrashStore &store, uid_t viewer) {
    auto fd = store.reply_for({viewer, 100, {}});
    REQUIRE(fd);
    struct stat file;
    REQUIRE(::fstat(fd->get(), &file) == 0);
    std::vector<uint8_t> bytes(static_cast<size_t>(file.st_size));
    REQUIRE(::pread(fd->get(), bytes.data(), bytes.size(), 0) == file.st_size);
    return Json::from_cbor(bytes);
}

class Folder {
  public:
    Folder() { REQUIRE(::mkdtemp(path_) != nullptr); }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string path() const { return path_; }
    std::vector<std::string> names() const {
        std::vector<std::string> names;
        for (const auto &file : std::filesystem::directory_iterator(path_))
            names.push_back(file.path().filename());
        std::sort(names.begin(), names.end());
        return names;
    }

  private:
    char path_[32] = "/tmp/berth-crashes-XXXXXX";
};

} // namespace

TEST_CASE("nothing is an empty list, and lists of any length are CBOR") {
    CrashStore store("");
    CHECK(reply(store, 0) == Json::array());
    for (int i = 0; i < 40; i++) {
        store.add(entry(1, "m" + std::to_string(i), i));
        REQUIRE(reply(store, 1).size() == static_cast<size_t>(i) + 1);
    }
    CHECK(reply(store, 1)[39]["pid"] == 39);
}

TEST_CASE("a user sees its own, root all, oldest first") {
    CrashStore store("");
    store.add(entry(1, "a", 1));
    store.add(entry(2, "a", 2));
    store.add(entry(1, "b", 3));
    CHECK(reply(store, 1).size() == 2);
    CHECK(reply(store, 1)[1]["pid"] == 3);
    CHECK(reply(store, 2)[0]["pid"] == 2);
    CHECK(reply(store, 3).empty());
    CHECK(reply(store, 0).size() == 3);
}

TEST_CASE("what a set-gid program's worker wrote is not for its user's plain programs") {
    CrashStore store("");
    store.add({{1, 50, {100}}, "a", Json::to_cbor(Json{{"pid", 1}})});
    auto count = [&](const berth::Identity &viewer) {
        auto fd = store.reply_for(viewer);
        struct stat file {};
        ::fstat(fd->get(), &file);
        return file.st_size > 3; // the head of an array
    };
    CHECK(count({1, 50, {100}}));
    CHECK(count({0, 0, {}}));
    CHECK_FALSE(count({1, 100, {100}}));
}

TEST_CASE("viewers who differ without end are answered, and few answers are kept") {
    CrashStore store("");
    store.add(entry(1, "a", 1));
    for (gid_t group = 0; group < 100; group++)
        CHECK(store.reply_for({1, 100, {group}}));
}

TEST_CASE("of one module and user 16 are kept, the last ones") {
    CrashStore store("");
    store.add(entry(2, "a", 99));
    for (int i = 0; i < 20; i++)
        store.add(entry(1, "a", i));
    Json mine = reply(store, 1);
    REQUIRE(mine.size() == CrashStore::kMostPerModule);
    CHECK(mine[0]["pid"] == 4);
    CHECK(mine[15]["pid"] == 19);
    CHECK(reply(store, 2).size() == 1);
}

TEST_CASE("64 are kept in all, and who has most gives way") {
    CrashStore store("");
    store.add(entry(2, "a", 1));
    for (int i = 0; i < 200; i++)
        store.add(entry(1, "m" + std::to_string(i), i));
    CHECK(store.entries().size() == CrashStore::kMost);
    CHECK(reply(store, 2).size() == 1);
    CHECK(reply(store, 1)[62]["pid"] == 199);
}

TEST_CASE("who asks again gets the same memory until something changes") {
    CrashStore store("");
    store.add(entry(1, "a", 1));
    auto inode = [&] {
        auto fd = store.reply_for({1, 100, {}});
        struct stat file {};
        ::fstat(fd->get(), &file);
        return file.st_ino;
    };
    auto before = inode();
    CHECK(inode() == before);
    store.add(entry(1, "a", 2));
    CHECK(reply(store, 1).size() == 2);
}

TEST_CASE("with a folder each report is a file too, and the oldest files go") {
    Folder folder;
    std::ofstream(folder.path() + "/other.json") << "not ours";
    CrashStore store(folder.path());
    for (int i = 0; i < 70; i++)
        store.add(entry(1, "m", i));
    auto names = folder.names();
    REQUIRE(names.size() == kMostCrashFiles + 1);
    CHECK(names[0] == "crash-19700101T000001.006Z-m-6.json");
    CHECK(names[63] == "crash-19700101T000001.069Z-m-69.json");
    CHECK(names[64] == "other.json");
    std::ifstream file(folder.path() + "/" + names[0]);
    CHECK(Json::parse(file)["pid"] == 6);
}

TEST_CASE("a folder that is not there is said, and costs no more") {
    Folder folder;
    auto written = write_crash_file(folder.path() + "/missing", entry(1, "m", 1).report);
    REQUIRE_FALSE(written);
    CHECK(written.error().text.find("missing/crash-") != std::string::npos);
}
