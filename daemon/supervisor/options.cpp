#include "supervisor/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <unistd.h>

#include "supervisor/version.h"

namespace berth {
namespace {

// With rights that its caller does not have it was started by a set-uid host, whose variables are the caller's.
std::string variable(const char *name) {
    const char *value = ::secure_getenv(name);
    return value ? value : "";
}

std::string default_socket() {
    if (auto path = variable("BERTH_SOCKET"); !path.empty())
        return path;
    if (auto folder = variable("XDG_RUNTIME_DIR"); !folder.empty())
        return folder + "/berth/berthd.sock";
    return "/run/berth/berthd.sock";
}

std::vector<std::string> default_module_dirs() {
    std::vector<std::string> folders;
    std::string list = variable("BERTH_MODULE_DIR");
    for (size_t at = 0; at < list.size();) {
        size_t end = std::min(list.find(':', at), list.size());
        if (end > at)
            folders.push_back(list.substr(at, end - at));
        at = end + 1;
    }
    if (folders.empty())
        folders = {BERTH_MANIFESTDIR, "/etc/berth/modules.d"};
    return folders;
}

// Beside the daemon (a copied pair), in the build tree, or where it is installed.
std::string default_worker() {
    if (auto path = variable("BERTH_WORKER"); !path.empty())
        return path;
    std::error_code error;
    auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    for (const auto &candidate : {folder / "berth-worker", (folder / "../worker/berth-worker").lexically_normal()})
        if (::access(candidate.c_str(), X_OK) == 0 && !std::filesystem::is_directory(candidate, error))
            return candidate.string();
    return BERTH_LIBEXECDIR "/berth-worker";
}

} // namespace

Options parse_options(int argc, char **argv) {
    Options options;
    CLI::App app("The supervisor of berth: runs native libraries in worker processes of their own.", "berthd");
    app.set_version_flag("--version", std::string(kDaemonName));
    app.add_option("--socket", options.socket_path, "listen at PATH")->type_name("PATH");
    app.add_option("--private", options.private_fd, "serve only the host connected to descriptor FD")
        ->type_name("FD")
        ->check(CLI::Range(0, 1 << 20));
    app.add_option("--modules", options.module_dirs, "read manifests from DIR (may be repeated)")
        ->type_name("DIR")
        ->take_all()
        ->allow_extra_args(false);
    app.add_option("--worker", options.worker_program, "the worker's executable")->type_name("PATH");
    app.add_option("--log-level", options.log_level, "how much to log")
        ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &e) {
        options.exit_code = app.exit(e);
        options.exit_now = true;
    }
    if (options.socket_path.empty())
        options.socket_path = default_socket();
    if (options.module_dirs.empty())
        options.module_dirs = default_module_dirs();
    if (options.worker_program.empty())
        options.worker_program = default_worker();
    return options;
}

} // namespace berth
