#include "options.h"

#include <charconv>
#include <pwd.h>
#include <sstream>

#include <CLI/CLI.hpp>

#include "answer.h"

namespace berth::cli {
namespace {

uint32_t uid_of(const std::string &user) {
    uint32_t uid = 0;
    auto [end, error] = std::from_chars(user.data(), user.data() + user.size(), uid);
    if (error == std::errc() && end == user.data() + user.size() && uid != UINT32_MAX)
        return uid;
    const passwd *known = ::getpwnam(user.c_str());
    if (!known)
        throw CLI::ValidationError("--socket-owner", "no user '" + user + "'");
    return known->pw_uid;
}

void add_connect(CLI::App *app, ConnectOptions &connect) {
    auto *socket = app->add_option("--socket", connect.socket, "The supervisor's socket");
    auto *owner = app->add_option_function<std::string>(
        "--socket-owner", [&connect](const std::string &user) { connect.socket_owner = uid_of(user); },
        "Whose socket is trusted, too, beside root's and ours: a name or a uid");
    app->add_flag("--private", connect.force_private, "Start a supervisor of our own")
        ->excludes(socket)
        ->excludes(owner);
    app->add_option("--modules", connect.module_dir, "Manifests for a supervisor of our own");
}

CLI::App *add_call(CLI::App &app, CallOptions &call) {
    auto *sub = app.add_subcommand("call", "Call one method of a module and show its answer");
    sub->add_option("module", call.module)->required();
    sub->add_option("method", call.method)->required();
    // Through a callback, as CLI11 takes "{}" and "[…]" for lists of its own.
    auto *json = sub->add_option_function<std::string>(
        "json", [&call](const std::string &text) { call.request = text; },
        "The request; {\"$bytes\": \"00ff\"} is bytes");
    // Of a list option's words only the first is its own; the next may be the module.
    sub->add_option("--raw", call.raw, "A file (- is stdin) that is the request, as it is")
        ->excludes(json)
        ->allow_extra_args(false);
    sub->add_option("--config", call.config, "The context's configuration, JSON");
    sub->add_option("--event", call.events, "Show events of this name")->allow_extra_args(false);
    sub->add_option("--timeout", call.timeout_ms, "Milliseconds to wait for the answer");
    sub->add_flag("--static", call.is_static, "A context-free method: no context is opened");
    sub->add_flag("--json", call.json, "One JSON object on stdout");
    add_connect(sub, call.connect);
    return sub;
}

CLI::App *add_status(CLI::App &app, StatusOptions &status, const char *name, const char *about) {
    auto *sub = app.add_subcommand(name, about);
    sub->add_flag("--json", status.json, "JSON");
    add_connect(sub, status.connect);
    return sub;
}

CLI::App *add_crashes(CLI::App &app, CrashesOptions &crashes) {
    auto *sub = app.add_subcommand("crashes", "Workers that died lately, and of what");
    sub->add_flag("--json", crashes.json, "JSON");
    add_connect(sub, crashes.connect);
    return sub;
}

CLI::App *add_reset(CLI::App &app, ResetOptions &reset) {
    auto *sub = app.add_subcommand("reset", "Forget a module's crashes: serve it again");
    sub->add_option("module", reset.module)->required();
    add_connect(sub, reset.connect);
    return sub;
}

CLI::App *add_bench(CLI::App &app, BenchOptions &bench) {
    auto *sub = app.add_subcommand("bench", "Measure calls beside what this machine allows");
    sub->add_flag("--json", bench.json, "JSON");
    sub->add_flag("--quick", bench.quick, "Less than 5 s, coarser numbers");
    sub->add_option("--plot", bench.plot, "Also write the latencies as an SVG");
    add_connect(sub, bench.connect);
    return sub;
}

CLI::App *add_stub(CLI::App &app, StubOptions &stub) {
    auto *sub = app.add_subcommand("stub", "Make a library that stands in for the one a module hosts");
    auto *module = sub->add_option("module", stub.module, "A module's name, or the path of its manifest");
    sub->add_option("-o,--output", stub.output, "The stub");
    sub->add_option("--source", stub.source, "Write its C source, too");
    sub->add_option("--original", stub.original, "The library to stand in for, instead of the manifest's");
    sub->add_option("--module-dir", stub.bake_dir, "Manifests that a supervisor of the stub's own reads");
    sub->add_flag("--keep-replies", stub.keep_replies, "For hosts that read an answer after its callback");
    sub->add_flag("--no-progress", stub.no_progress, "For hosts that do not know code 3");
    sub->add_flag("--later-codes", stub.later_codes, "For hosts that know codes 4 to 9");
    sub->add_option("--check", stub.check, "Compare symbols, versions and soname of ORIGINAL and STUB")
        ->expected(2)
        ->type_name("ORIGINAL STUB")
        ->excludes(module);
    sub->callback([&stub] {
        if (stub.check.empty() && stub.module.empty())
            throw CLI::RequiredError("module");
        if (stub.check.empty() && stub.output.empty() && stub.source.empty())
            throw CLI::RequiredError("--output or --source");
    });
    add_connect(sub, stub.connect);
    return sub;
}

CLI::App *add_module_init(CLI::App &app, ModuleInitOptions &init) {
    auto *module = app.add_subcommand("module", "Prepare a library to be hosted");
    module->require_subcommand(1);
    auto *sub = module->add_subcommand("init", "Write a first manifest from a library's symbols; runs nothing of it");
    sub->add_option("library", init.library, "The shared library")->required();
    sub->add_option("-o,--output", init.output, "A new file for the manifest, instead of stdout");
    return sub;
}

Finished finished(CLI::App &app, const CLI::ParseError &error) {
    std::ostringstream out, err;
    int status = app.exit(error, out, err);
    return {status == 0 ? kExitOk : kExitUsage, out.str(), err.str()};
}

} // namespace

Command parse_command_line(int argc, const char *const *argv, const std::string &version) {
    CLI::App app("berth: native libraries, hosted out of process", "berth");
    CallOptions call;
    StatusOptions modules, status;
    CrashesOptions crashes;
    ResetOptions reset;
    BenchOptions bench;
    StubOptions stub;
    ModuleInitOptions module_init;
    app.require_subcommand(1);
    app.set_version_flag("--version", "berth " + version);
    auto *call_app = add_call(app, call);
    auto *modules_app = add_status(app, modules, "modules", "The modules that can be called");
    auto *status_app = add_status(app, status, "status", "Supervisor, modules, workers and contexts");
    auto *crashes_app = add_crashes(app, crashes);
    auto *reset_app = add_reset(app, reset);
    auto *stub_app = add_stub(app, stub);
    add_bench(app, bench);
    auto *module_init_app = add_module_init(app, module_init);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        return finished(app, error);
    }
    modules.modules_only = true;
    if (call_app->parsed())
        return call;
    if (modules_app->parsed())
        return modules;
    if (status_app->parsed())
        return status;
    if (stub_app->parsed())
        return stub;
    if (module_init_app->parsed())
        return module_init;
    if (crashes_app->parsed())
        return crashes;
    if (reset_app->parsed())
        return reset;
    return bench;
}

} // namespace berth::cli
