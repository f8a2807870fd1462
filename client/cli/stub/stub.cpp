// `berth stub`: a drop-in stand-in for a library that berth hosts; and whether one would do.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "answer.h"
#include "commands.h"
#include "session.h"
#include "status_view.h"
#include "stub/build.h"
#include "stub/check.h"
#include "stub/module_file.h"

namespace berth::cli {
namespace {

int fail(const Error &error) {
    fprintf(stderr, "berth stub: %s\n", error.text.c_str());
    return kExitUnavailable;
}

int check(const std::string &original, const std::string &stub) {
    auto first = read_elf_symbols(original);
    if (!first)
        return fail(first.error());
    auto second = read_elf_symbols(stub);
    if (!second)
        return fail(second.error());
    auto differences = stub_differences(*first, *second);
    for (const auto &line : differences)
        printf("%s\n", line.c_str());
    if (differences.empty())
        printf("%zu symbols, %zu versions and the soname are the same\n", first->symbols.size(),
               first->versions.size());
    return differences.empty() ? kExitOk : kExitAnswer;
}

// The supervisor that a stub would find knows where the module's manifest is.
Result<std::string> manifest_of(const StubOptions &options) {
    if (options.module.find('/') != std::string::npos || options.module.ends_with(".toml"))
        return options.module;
    auto client = connect(options.connect);
    if (!client)
        return client.error();
    Reply reply;
    if (int ret = berth_status(client->get(), reply.raw()))
        return Error{ret, reply.text()};
    for (const auto &module : modules_of(show(reply.bytes()).json))
        if (module.value("name", "") == options.module)
            return module.value("file", "");
    return Error{BERTH_RET_NO_MODULE, "no module '" + options.module + "'"};
}

Result<StubPlan> plan_of(const StubOptions &options, const ModuleFile &module) {
    auto original = read_elf_symbols(options.original.empty() ? module.library : options.original);
    if (!original)
        return original.error();
    auto plan = plan_stub(module.nimffi, *original);
    if (!plan)
        return Error{1, module.library + ": " + plan.error().text};
    plan->module = module.name;
    if (!options.bake_dir.empty())
        plan->module_dir = std::filesystem::absolute(options.bake_dir).lexically_normal().string();
    plan->keep_replies = options.keep_replies;
    plan->no_progress = options.no_progress;
    plan->later_codes = options.later_codes;
    return plan;
}

Result<bool> make(const StubPlan &plan, const StubOptions &options) {
    if (!options.source.empty() && !(std::ofstream(options.source) << stub_source(plan)).flush())
        return Error{1, options.source + ": cannot be written"};
    if (options.output.empty())
        return true;
    auto folder = stub_folder();
    if (!folder)
        return folder.error();
    return build_stub(plan, *folder, options.output);
}

} // namespace

int run_stub(const StubOptions &options) {
    if (!options.check.empty())
        return check(options.check[0], options.check[1]);
    auto manifest = manifest_of(options);
    if (!manifest)
        return fail(manifest.error());
    auto module = read_module_file(*manifest);
    if (!module)
        return fail(module.error());
    auto plan = plan_of(options, *module);
    if (!plan)
        return fail(plan.error());
    for (const auto &symbol : plan->left_out)
        fprintf(stderr, "berth stub: %s is left out: hosts of nim-ffi libraries have no use for it\n", symbol.c_str());
    for (const auto &symbol : plan->without_signature)
        fprintf(stderr, "berth stub: %s: no signature in the manifest, so the module has no such method\n", symbol.c_str());
    auto made = make(*plan, options);
    return made ? kExitOk : fail(made.error());
}

} // namespace berth::cli
