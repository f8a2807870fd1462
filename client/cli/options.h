// What the command line says.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace berth::cli {

struct ConnectOptions {
    std::string socket;        // "": where libberth looks by itself
    uint32_t socket_owner = 0; // a uid whose named socket is trusted, too; 0: nobody
    std::string module_dir;    // "": the installed manifests
    bool force_private = false;
};

struct CallOptions {
    ConnectOptions connect;
    std::string module, method;
    std::string request, config;     // JSON; "" is the empty map
    std::vector<std::string> raw;    // files whose bytes, one after the other, are the request
    std::vector<std::string> events; // to listen to
    int timeout_ms = -1;             // < 0: waits without end
    bool is_static = false;
    bool json = false;
};

struct StatusOptions {
    ConnectOptions connect;
    bool modules_only = false;
    bool json = false;
};

struct CrashesOptions {
    ConnectOptions connect;
    bool json = false;
};

struct ResetOptions {
    ConnectOptions connect;
    std::string module;
};

struct BenchOptions {
    ConnectOptions connect;
    bool json = false;
    bool quick = false;
    std::string plot; // file for an SVG, or ""
};

struct StubOptions {
    ConnectOptions connect;
    std::string module;             // a name, or the path of a manifest
    std::string output;             // the stub, or ""
    std::string source;             // where to leave its C source, or ""
    std::string original;           // the library it stands in for, or "": the manifest's
    std::string bake_dir;           // manifests for the stub's private supervisor, or ""
    std::vector<std::string> check; // or only compare these two
    bool keep_replies = false, no_progress = false, later_codes = false;
};

struct ModuleInitOptions {
    std::string library;
    std::string output; // file for the manifest; "" or "-": stdout
};

// Nothing to run: help and version (status 0), or a command line that means nothing (kExitUsage).
struct Finished {
    int status = 0;
    std::string out, err;
};

using Command = std::variant<Finished, CallOptions, StatusOptions, CrashesOptions, ResetOptions, BenchOptions,
                             StubOptions, ModuleInitOptions>;

// `version` is what --version prints.
Command parse_command_line(int argc, const char *const *argv, const std::string &version);

} // namespace berth::cli
