// berth-worker: hosts one module, one context at a time. Started by berthd with its control socket as descriptor 3.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <thread>

#include "crash_area.h"
#include "kill_point.h"
#include "worker/control_thread.h"
#include "worker/crash_handler.h"
#include "worker/user_environment.h"
#include "worker/zygote.h"

namespace {

constexpr int kControlFd = 3;
berth::Answers answers; // what the module's calls reach; lives as long as the process
berth::OwnCalls own_calls; // the same

int module_reply(berth_request request, int ret, const void *data, size_t len) {
    int rc = berth::OwnCalls::owns(request) ? own_calls.reply(request, ret == 0 ? 0 : 1, data, len)
                                            : answers.reply(request, ret == 0 ? 0 : 1, data, len);
    if (rc != 0)
        std::fprintf(stderr, "the module answered request %llu, which nobody waits for\n",
                     static_cast<unsigned long long>(request));
    return rc;
}
int module_emit(const char *name, const void *data, size_t len) { return answers.emit(name, data, len); }
void module_log(const char *text) { std::fprintf(stderr, "%s\n", text ? text : ""); }
int module_progress(berth_request request, const void *text, size_t len) {
    if (berth::OwnCalls::owns(request))
        return own_calls.waits(request) && len <= berth::Answers::kMaxProgress ? 1 : -1; // no host waits for it
    return answers.progress(request, text, len);
}
int module_call(const char *method, const void *data, size_t len, berth_answer done, void *user_data) {
    return own_calls.call(method, data, len, done, user_data);
}
int module_data(berth_request request, const void *bytes, size_t len) {
    if (berth::OwnCalls::owns(request))
        return own_calls.waits(request) && len <= BERTH_MAX_PAYLOAD ? 1 : -1; // no host waits for it
    return answers.data(request, bytes, len);
}

const berth_worker worker_abi = {BERTH_MODULE_ABI, sizeof(berth_worker), module_reply, module_emit, module_log,
                                 module_progress, module_call, module_data};

struct Arguments {
    std::string module, library;
    std::string service; // the socket of the service that started us; a private supervisor has none
    std::string adapter; // "": the library is a module itself
    bool zygote = false;
};

bool parse(int argc, char **argv, Arguments &out) {
    out.zygote = argc > 1 && std::string_view(argv[1]) == "--zygote";
    argc -= out.zygote, argv += out.zygote;
    for (int i = 1; i + 1 < argc; i += 2) {
        std::string_view key = argv[i];
        if (key == "--module")
            out.module = argv[i + 1];
        else if (key == "--library")
            out.library = argv[i + 1];
        else if (key == "--service")
            out.service = argv[i + 1];
        else if (key == "--adapter")
            out.adapter = argv[i + 1];
        else
            return false;
    }
    return argc % 2 == 1 && !out.module.empty() && !out.library.empty();
}

berth::Message ready(const berth::Module &module) {
    berth::Message message(BERTH_MSG_READY);
    message.with(BERTH_KEY_PID, static_cast<uint64_t>(getpid()))
        .with_bytes(BERTH_KEY_METHODS, module.method_ids())
        .with_text(BERTH_KEY_METHOD_NAMES, module.method_names())
        .with_text(BERTH_KEY_MODULE_VERSION, module.abi().version);
    return message;
}

// While the library loads nobody watches the supervisor; afterwards the worker outlives it. False: it is gone already.
bool die_with_supervisor() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pollfd control{kControlFd, 0, 0};
    return poll(&control, 1, 0) == 0;
}
void outlive_supervisor() { prctl(PR_SET_PDEATHSIG, 0); }

berth::Result<berth::Module> load(const Arguments &arguments) {
    if (arguments.adapter.empty())
        return berth::Module::load(arguments.library, &worker_abi);
    return berth::Module::load_adapted(arguments.adapter, arguments.library, &worker_abi);
}

// Told to a whole group of processes, by a terminal or a service manager, the first three are the host's to act on,
// which may owe answers still; the supervisor ends its workers otherwise. And output goes to the supervisor: should
// that be gone, printing fails and the context lives on. By a handler: SIG_IGN would be the library's children's, too.
void outlive_signals() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    for (int signal : {SIGHUP, SIGINT, SIGTERM, SIGPIPE})
        sigaction(signal, &action, nullptr);
}

// Signals go to the library's thread, as they would in a program that links the library.
void start_control_thread(berth::ControlThread &control) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([&control] {
        berth::prepare_thread_for_crash();
        control.run();
    }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

} // namespace

int main(int argc, char **argv) {
    outlive_signals();
    Arguments arguments;
    if (!parse(argc, argv, arguments)) {
        std::fprintf(stderr,
                     "usage: berth-worker [--zygote] --module NAME --library PATH [--service SOCKET] [--adapter PATH], "
                             "with a control socket as descriptor 3\n");
        return 2;
    }
    fcntl(kControlFd, F_SETFD, FD_CLOEXEC); // what the library runs is not to have it
    std::setvbuf(stdout, nullptr, _IOLBF, 0); // a pipe, read line by line
    if (!die_with_supervisor())
        return 1;
    BERTH_KILL_POINT("worker.started");
    berth::Channel channel{berth::UniqueFd(kControlFd)};
    berth::install_crash_handler(BERTH_CRASH_FD); // a worker without one serves as well
    berth::take_user_environment();
    auto module = load(arguments);
    if (!module) {
        (void)channel.send(berth::Message(BERTH_MSG_LOAD_FAILED).with_text(BERTH_KEY_TEXT, module.error().text));
        return 1;
    }
    BERTH_KILL_POINT("worker.module_loaded");
    if (arguments.zygote) // which stays behind there, and dies with its supervisor
        berth::become_forked_worker(channel, ready(*module));
    outlive_supervisor();
    if (!channel.send(ready(*module)))
        return 1;
    BERTH_KILL_POINT("worker.ready_sent");
    int teardown = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    static berth::LibraryThread library(*module, answers, own_calls, teardown);
    static berth::ControlThread control(
        std::move(channel), library, answers, teardown,
        {arguments.module, module->abi().version, module->method_ids(), arguments.service});
    start_control_thread(control);
    for (;;) {
        control.await_lease();
        library.serve_lease();
        control.end_lease();
    }
}
