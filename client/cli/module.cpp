// `berth module init`: a first manifest.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "answer.h"
#include "base/unique_fd.h"
#include "commands.h"
#include "module_init.h"

namespace berth::cli {
namespace {

int fail(const std::string &text) {
    fprintf(stderr, "berth module init: %s\n", text.c_str());
    return kExitUnavailable;
}

// A file that is there already may have been edited by hand, and stays.
bool write_new(const std::string &path, const std::string &text) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd)
        return false;
    for (size_t at = 0; at < text.size();) {
        ssize_t wrote = ::write(fd.get(), text.data() + at, text.size() - at);
        if (wrote < 0 && errno != EINTR)
            return false;
        at += wrote > 0 ? static_cast<size_t>(wrote) : 0;
    }
    return true;
}

} // namespace

int run_module_init(const ModuleInitOptions &options) {
    auto manifest = module_manifest(options.library);
    if (!manifest)
        return fail(manifest.error().text);
    if (options.output.empty() || options.output == "-")
        fputs(manifest->c_str(), stdout);
    else if (!write_new(options.output, *manifest))
        return fail(options.output + ": " + std::strerror(errno));
    return kExitOk;
}

} // namespace berth::cli
