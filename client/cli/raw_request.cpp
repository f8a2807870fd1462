#include "raw_request.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "berth/berth.h"

namespace berth::cli {
namespace {

struct Closer {
    void operator()(FILE *file) const {
        if (file != stdin)
            fclose(file);
    }
};

bool append(FILE *file, Bytes &bytes) {
    uint8_t part[65536];
    for (size_t count; (count = fread(part, 1, sizeof part, file)) > 0;)
        bytes.insert(bytes.end(), part, part + count);
    return !ferror(file);
}

} // namespace

Result<Bytes> read_raw_request(const std::vector<std::string> &files) {
    Bytes bytes;
    for (const auto &name : files) {
        std::unique_ptr<FILE, Closer> file(name == "-" ? stdin : fopen(name.c_str(), "rbe"));
        if (!file || !append(file.get(), bytes))
            return Error{BERTH_RET_INVALID_ARGUMENT, name + ": " + strerror(errno)};
    }
    return bytes;
}

} // namespace berth::cli
