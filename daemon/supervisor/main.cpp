// berthd: reads its options, makes its process fit for service, and runs the supervisor.
#include <cstdlib>
#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "supervisor/log.h"
#include "supervisor/options.h"
#include "supervisor/process_setup.h"
#include "supervisor/supervisor.h"

namespace berth {
namespace {

// Whoever started us may be any program: nothing of it is kept but the one socket.
UniqueFd become_private(int fd) {
    UniqueFd socket(fd < 3 ? ::fcntl(fd, F_DUPFD_CLOEXEC, 3) : fd);
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    close_inherited_fds(socket.get());
    const char *log = ::secure_getenv("BERTH_LOG");
    bool to_stderr = log && std::string(log) == "stderr";
    redirect_stdio(to_stderr ? "" : log && *log ? log : "/dev/null");
    ::unsetenv("NOTIFY_SOCKET"); // the host's, should it be a service
    ::setsid(); // Ctrl-C at the host's terminal is the host's business; refused where the host did it for us
    return socket;
}

Result<UniqueFd> passed_socket() {
    int count = ::sd_listen_fds(1);
    if (count <= 0)
        return UniqueFd();
    UniqueFd socket(SD_LISTEN_FDS_START);
    for (int i = 1; i < count; i++)
        ::close(SD_LISTEN_FDS_START + i);
    if (::sd_is_socket(socket.get(), AF_UNIX, SOCK_SEQPACKET, 1) <= 0)
        return Error{1, "the socket passed by systemd is not a listening unix socket of type SOCK_SEQPACKET"};
    return socket;
}

// systemd's StateDirectory; the first if there are several.
std::string state_folder() {
    const char *folders = std::getenv("STATE_DIRECTORY");
    std::string all = folders ? folders : "";
    return all.substr(0, all.find(':'));
}

int serve(SupervisorConfig config) {
    uv_loop_t loop;
    if (int rc = uv_loop_init(&loop)) {
        log::error("no event loop can be had: {}", uv_strerror(rc));
        return EXIT_FAILURE;
    }
    int code = EXIT_SUCCESS;
    {
        Supervisor supervisor(&loop, std::move(config));
        auto started = supervisor.start();
        if (started)
            supervisor.run();
        else
            log::error("{}", started.error().text);
        code = started ? EXIT_SUCCESS : EXIT_FAILURE;
        block_signals(); // who says it twice has said it: the exit status stays what it is
    }
    uv_run(&loop, UV_RUN_DEFAULT); // what is closing closes
    uv_loop_close(&loop);
    return code;
}

int run(int argc, char **argv) {
    open_missing_stdio();
    Options options = parse_options(argc, argv);
    if (options.exit_now)
        return options.exit_code;
    reset_signals();
    SupervisorConfig config;
    config.module_dirs = options.module_dirs;
    config.worker_program = options.worker_program;
    config.socket_path = options.socket_path;
    if (options.private_fd >= 0)
        config.private_host = become_private(options.private_fd);
    log::start(options.log_level);
    raise_fd_limit();
    make_fds_private();
    if (options.private_fd < 0) {
        drop_ambient_capabilities();
        config.crash_folder = state_folder();
        auto passed = passed_socket();
        if (!passed) {
            log::error("{}", passed.error().text);
            return EXIT_FAILURE;
        }
        config.listening = std::move(*passed);
    }
    return serve(std::move(config));
}

} // namespace
} // namespace berth

int main(int argc, char **argv) { return berth::run(argc, argv); }
