// Hosts that are linked to a nim-ffi library, run with the library in their process and with a stub in its place.
#include <csignal>
#include <doctest/doctest.h>
#include <filesystem>
#include <sstream>

#include "leak_check.h"
#include "processes.h"
#include "program.h"

using namespace berth::test;

namespace {

struct Fixture {
    const char *module, *library, *host; // library: below the fixtures' folder
    const char *settings;                // of the manifest's table [nim-ffi]
};

constexpr const char *kTimer = "static = [\"build_info\"]\nevents = [\"tick\", \"on_echo_fired\"]\n";
constexpr Fixture kAsync{"my_timer", "libmy_timer.so.1", "nimffi-host", kTimer};
constexpr Fixture kBlocking{"my_old_timer", "blocking/libmy_timer.so", "nimffi-host-blocking",
                            "destroy_arguments = 1\nstatic = [\"build_info\"]\nevents = [\"tick\", "
                            "\"on_echo_fired\"]\n"};
constexpr Fixture kNode{"my_node", "libmy_node.so", "nimffi-node-host",
                        "initialisers = [\"libmy_nodeNimMain\"]\n[nim-ffi.methods]\npublish = [\"string\", \"string\", \"uint\"]\nwait = [\"uint\"]\n"
                        "sum = [\"int\", \"uint\", \"int64\", \"uint64\", \"bool\", \"double\"]\n"
                        "fail = [\"string\"]\nversion = []\ncrash = []\nglobals = []\n"};

std::string original_of(const Fixture &fixture) {
    return needed_variable("BERTH_NIMFFI_DIR") + "/" + fixture.library;
}

std::string host_of(const Fixture &fixture) { return needed_variable("BERTH_NIMFFI_HOSTS") + "/" + fixture.host; }

// A folder of manifests, and one for each stub.
class Stubs : LeakChecked {
  public:
    Stubs() {
        for (const Fixture &fixture : {kAsync, kBlocking, kNode}) {
            write_file(manifest(fixture), "name = \"" + std::string(fixture.module) + "\"\nlibrary = \"" +
                                              original_of(fixture) + "\"\nadapter = \"nim-ffi\"\n[nim-ffi]\n" +
                                              fixture.settings);
        }
    }

    std::string manifest(const Fixture &fixture) const { return folder_ / (std::string(fixture.module) + ".toml"); }

    // The folder with the stub, under the name that the loader looks for.
    std::string make(const Fixture &fixture, const std::vector<std::string> &options = {}) {
        std::string folder = folder_ / ("stub-of-" + std::string(fixture.module));
        std::filesystem::create_directories(folder);
        std::string stub = folder + "/" + std::filesystem::path(fixture.library).filename().string();
        std::vector<std::string> argv{needed_variable("BERTH_CLI"), "stub", manifest(fixture), "-o", stub};
        argv.insert(argv.end(), options.begin(), options.end());
        Ran ran = run_program(argv);
        REQUIRE_MESSAGE(ran.status == 0, ran.err);
        return folder;
    }

    std::map<std::string, std::string> environment() const {
        return {{"BERTH_MODULE_DIR", folder_.path()}, {"BERTH_SOCKET", folder_ / "no-service"}, {"BERTH_LOG", log()}};
    }

    Ran run(const Fixture &fixture, const std::string &what, const std::string &stub_folder) const {
        auto variables = environment();
        variables["LD_LIBRARY_PATH"] = stub_folder;
        return run_program({host_of(fixture), what}, variables);
    }

    std::string log() const { return folder_ / "log"; }
    const TempDir &folder() const { return folder_; }

  private:
    TempDir folder_;
};

std::string in_process_folder(const Fixture &fixture) {
    return std::filesystem::path(original_of(fixture)).parent_path().string();
}

void check_same_conversation(const Fixture &fixture) {
    Stubs stubs;
    Ran original = stubs.run(fixture, "conversation", in_process_folder(fixture));
    REQUIRE_MESSAGE(original.status == 0, original.err);
    CHECK(std::count(original.out.begin(), original.out.end(), '\n') > 15);
    Ran stub = stubs.run(fixture, "conversation", stubs.make(fixture));
    CHECK_MESSAGE(stub.status == 0, stub.err);
    std::istringstream wanted(original.out), had(stub.out);
    for (std::string want, have; std::getline(wanted, want);) {
        std::getline(had, have);
        CHECK(have == want);
    }
    CHECK(stub.out.size() == original.out.size());
}

void check_lines(const Ran &ran, const std::vector<std::string> &wanted) {
    std::istringstream had(ran.out);
    std::string have;
    CHECK_MESSAGE(ran.status == 0, ran.err);
    for (const auto &want : wanted) {
        std::getline(had, have);
        CHECK(have == want);
        have.clear();
    }
    CHECK_FALSE(std::getline(had, have));
}

bool has(const std::string &text, const std::string &part) { return text.find(part) != std::string::npos; }

} // namespace

TEST_CASE("a stub has the original's symbols, versions and soname, and --check says so") {
    Stubs stubs;
    std::string berth = needed_variable("BERTH_CLI");
    for (const Fixture &fixture : {kAsync, kBlocking, kNode}) {
        std::string stub =
            stubs.make(fixture) + "/" + std::filesystem::path(fixture.library).filename().string();
        Ran same = run_program({berth, "stub", "--check", original_of(fixture), stub});
        CHECK_MESSAGE(same.status == 0, same.out << same.err);
    }
    Ran other = run_program({berth, "stub", "--check", original_of(kAsync), original_of(kBlocking)});
    CHECK(other.status == 1);
    CHECK(has(other.out, "soname: \"libmy_timer.so\", not \"libmy_timer.so.1\"\nversion MY_TIMER_1: missing\n"));
    CHECK(has(other.out, "symbol my_timer_echo@@MY_TIMER_1: missing\n"));
    CHECK(has(other.out, "symbol my_timer_echo: not in the original\n"));
    CHECK(run_program({berth, "stub", "--check", original_of(kAsync), stubs.folder() / "missing.so"}).status == 3);
}

TEST_CASE("a symbol in two versions, and symbols without one, are the original's too") {
    Stubs stubs;
    auto file = [&](const std::string &name) { return stubs.folder() / name; };
    write_file(file("two.c"), "int t_create(void) { return 0; }\nint t_destroy(void) { return 0; }\n"
                              "__asm__(\".symver t_old, t_echo@T_1, remove\");\nint t_old(void) { return 1; }\n"
                              "__asm__(\".symver t_new, t_echo@@T_2, remove\");\nint t_new(void) { return 2; }\n");
    write_file(file("two.map"), "T_1 { global: t_echo; };\nT_2 { global: t_echo; } T_1;\n");
    Ran built = run_program({"cc", "-shared", "-fPIC", file("two.c"), "-Wl,-soname,libtwo.so.2",
                             "-Wl,--version-script=" + file("two.map"), "-o", file("libtwo.so")});
    REQUIRE_MESSAGE(built.status == 0, built.err);
    write_file(file("two.toml"), "library = \"libtwo.so\"\nadapter = \"nim-ffi\"\n");
    std::string berth = needed_variable("BERTH_CLI");
    Ran made = run_program({berth, "stub", file("two.toml"), "-o", file("stub.so")});
    CHECK_MESSAGE(made.status == 0, made.err);
    Ran same = run_program({berth, "stub", "--check", file("libtwo.so"), file("stub.so")});
    CHECK(same.status == 0);
    CHECK(same.out == "4 symbols, 2 versions and the soname are the same\n");
}

TEST_CASE("the conversation over a stub is the original's: three-argument destroy") { check_same_conversation(kAsync); }
TEST_CASE("the conversation over a stub is the original's: one-argument destroy") { check_same_conversation(kBlocking); }
TEST_CASE("the conversation over a stub is the original's: JSON generation") { check_same_conversation(kNode); }

TEST_CASE("signal dispositions are the host's own with a stub, and overwritten with the original") {
    Stubs stubs;
    check_lines(stubs.run(kAsync, "signals", in_process_folder(kAsync)),
                {"SIGINT: overwritten", "SIGPIPE: overwritten", "SIGSEGV: overwritten"});
    check_lines(stubs.run(kAsync, "signals", stubs.make(kAsync)),
                {"SIGINT: the host's", "SIGPIPE: the host's", "SIGSEGV: the host's"});
}

TEST_CASE("with a killed worker each pending call is told once, the host lives and creates anew") {
    for (const Fixture &fixture : {kAsync, kBlocking}) {
        Stubs stubs;
        Ran ran = stubs.run(fixture, "kill", stubs.make(fixture));
        std::string destroyed = fixture.host == kAsync.host ? "; 0 []" : "";
        size_t line = ran.out.find('\n');
        CHECK_MESSAGE(has(ran.out.substr(0, line), " died by SIGKILL"), ran.out);
        ran.out.erase(0, line + 1);
        check_lines(ran, {
                             "pending calls told once, by RET_ERR and text: 20 of 20",
                             "a call after that: returned 1; 1 [<text>] before it returned",
                             "destroy: returned 0" + destroyed,
                             "echo of the next: returned 0; 0 [\\a2fechoedbhiitimerNamehthe\\20next]",
                             "destroy the next: returned 0" + destroyed,
                             "after its supervisor was killed, echo: returned 0; 0 "
                             "[\\a2fechoedbhiitimerNameithe\\20third]",
                             "destroy the third: returned 0" + destroyed,
                         });
    }
}

TEST_CASE("a stub does right what the original does not") {
    for (const Fixture &fixture : {kAsync, kBlocking}) {
        Stubs stubs;
        bool async = fixture.host == kAsync.host;
        std::string destroyed = async ? "; 0 []" : "", version = async ? "v0.1.0" : "v0.3.0";
        std::string invalid = "1 [ctx\\20is\\20not\\20a\\20valid\\20FFI\\20context] before it returned";
        std::string answer = ": returned 0; 0 [pnim-timer\\20" + version + "]";
        check_lines(stubs.run(fixture, "rules", stubs.make(fixture)),
                    {
                        "a call inside a callback" + answer,
                        "destroyed inside an answer: 0",
                        "in flight while destroyed inside an answer: returned 0; 0 "
                        "[\\a2fechoedeotheritimerNamefnested]",
                        "destroyed inside an event: 0",
                        "an answer while a listener takes its time" + answer,
                        "the listener is still at it: yes",
                        "create was answered first: yes",
                        "a call before create is answered: returned 0; 0 [\\a2fechoedeearlyitimerNameeearly]",
                        "destroy: returned 0" + destroyed,
                        "destroy before create is answered: returned 0" + destroyed,
                        "contexts at once: 34, destroyed: 34",
                        "the next context has another address: yes",
                        "a call to the first: returned 1; " + invalid,
                        "destroy again: returned 1" + (async ? "; " + invalid : ""),
                        "the second lives: returned 0; 0 [\\a2fechoedfI\\20liveitimerNamefsecond]",
                        "the first exclusive one: returned 1; 0 [<address>]",
                        "the second exclusive one: returned 1; 0 [<address>]",
                        "destroy: returned 0" + destroyed,
                        "destroy: returned 0" + destroyed,
                        "creates that failed: 34",
                        "destroy: returned 0" + destroyed,
                        "and goes on" + answer,
                        "a library that answers twice: returned 0; 0 [fdouble]",
                        "an error without text: returned 0; 1 [unknown\\20error]",
                        "a library that crashes: returned 0; 1 [<text>]",
                        "destroy: returned 0" + destroyed,
                        "events: 900",
                        "destroy: returned 0" + destroyed,
                        "errors in a child: yes",
                        "the parent goes on" + answer,
                        "destroy: returned 0" + destroyed,
                    });
    }
}

TEST_CASE("two versions of a library, and another library, are apart in one host") {
    Stubs stubs;
    std::string invalid = "returned 1; 1 [ctx\\20is\\20not\\20a\\20valid\\20FFI\\20context] before it returned";
    Ran ran = run_program({needed_variable("BERTH_NIMFFI_HOSTS") + "/nimffi-together",
                           stubs.make(kAsync) + "/libmy_timer.so.1", stubs.make(kBlocking) + "/libmy_timer.so",
                           stubs.make(kNode) + "/libmy_node.so"},
                          stubs.environment());
    check_lines(ran, {
                         "the first timer: returned 0; 0 [pnim-timer\\20v0.1.0]",
                         "the second timer: returned 0; 0 [pnim-timer\\20v0.3.0]",
                         "the first, with a context of the second: " + invalid,
                         "the second, with a context of the first: " + invalid,
                         "node: returned 1; 0 []",
                         "node's version: returned 0; 0 [my_node\\20v0.2.0]",
                         "destroy the node: returned 0; 0 []",
                         "destroy the first: returned 0; 0 []",
                         "destroy the second: 0",
                     });
}

TEST_CASE("what the library prints is in the supervisor's log and not on the host's stdout") {
    Stubs stubs;
    Ran ran = stubs.run(kAsync, "print", stubs.make(kAsync));
    check_lines(ran, {"print: returned 0; 0 [eprint]"});
    CHECK(ran.err.empty());
    CHECK(eventually([&] { return has(read_file(stubs.log()), "my_timer on stdout"); }));
    CHECK(eventually([&] { return has(read_file(stubs.log()), "my_timer on stderr"); }));
}

TEST_CASE("a stub made so keeps answers for hosts that read them late") {
    Stubs stubs;
    check_lines(stubs.run(kAsync, "late", stubs.make(kAsync, {"--keep-replies"})),
                {"read after the callback: pnim-timer v0.1.0"});
}

TEST_CASE("codes that a host does not know are RET_ERR and text, unless it is said to know them") {
    Stubs stubs;
    check_lines(stubs.run(kAsync, "large", stubs.make(kAsync)),
                {"17 MiB: returned 1; 1 [larger\\20than\\2016\\20MiB] before it returned"});
    check_lines(stubs.run(kAsync, "large", stubs.make(kAsync, {"--later-codes"})),
                {"17 MiB: returned 1; 9 [larger\\20than\\2016\\20MiB] before it returned"});
    check_lines(stubs.run(kAsync, "progress", stubs.make(kAsync, {"--no-progress"})),
                {"progress: returned 0; 0 [estale]"});
}

TEST_CASE("what a module sends on its way is code 3, whole and in order, and nothing where a host knows no such code") {
    Stubs stubs;
    auto streamed = [&](const std::string &host, const std::string &count, const std::string &bytes) {
        return run_program({needed_variable("BERTH_NIMFFI_HOSTS") + "/" + host, "stream", count, bytes},
                           {{"BERTH_SOCKET", stubs.folder() / "no-service"}, {"BERTH_LOG", stubs.log()}});
    };
    // More than may be unread.
    check_lines(streamed("stub-echo-host", "40", "65536"), {"returned 0; code 3: 40, wrong: 0; then 0, 2 bytes"});
    check_lines(streamed("stub-echo-host", "300", "0"), {"returned 0; code 3: 300, wrong: 0; then 0, 3 bytes"});
    check_lines(streamed("stub-echo-host-quiet", "40", "65536"), {"returned 0; code 3: 0, wrong: 0; then 0, 2 bytes"});
}

TEST_CASE("a host is told which supervisor cannot be had, and why") {
    Stubs stubs;
    std::string socket = stubs.folder() / "no-service", daemon = stubs.folder() / "no-berthd";
    Ran ran = run_program({needed_variable("BERTH_NIMFFI_HOSTS") + "/stub-echo-host", "connect"},
                          {{"BERTH_SOCKET", socket}, {"BERTH_DAEMON", daemon}});
    std::string why = "1 no supervisor of berth's answers, and none could be started: cannot connect to " + socket +
                      ": No such file or directory; cannot start " + daemon + ": No such file or directory";
    check_lines(ran, {"create: NULL; " + why, "static: 0; " + why});
}

TEST_CASE("the folder of manifests can be baked into a stub") {
    Stubs stubs;
    std::string stub = stubs.make(kAsync, {"--module-dir", stubs.folder().path()});
    auto variables = stubs.environment();
    variables["LD_LIBRARY_PATH"] = stub;
    variables["BERTH_MODULE_DIR"] = needed_variable("BERTH_MODULE_DIR"); // which has no my_timer
    check_lines(run_program({host_of(kAsync), "print"}, variables), {"print: returned 0; 0 [eprint]"});
}

// Figures are printed and not judged.
TEST_CASE("what a stub costs is measured beside the original in one run") {
    Stubs stubs;
    auto variables = stubs.environment();
    variables["BERTH_MODULE_DIR"] += ":" + needed_variable("BERTH_MODULE_DIR"); // echo is there
    Ran ran = run_program({needed_variable("BERTH_NIMFFI_HOSTS") + "/nimffi-bench", original_of(kAsync),
                           stubs.make(kAsync) + "/libmy_timer.so.1", "0.1"},
                          variables);
    CHECK_MESSAGE(ran.status == 0, ran.err);
    for (const char *row : {"back to back", "after a pause", "caller spins", "open + close"})
        CHECK(has(ran.out, std::string("\n") + row));
    MESSAGE(ran.out);
}

TEST_CASE("a module is found by its name, and what cannot be is said") {
    Stubs stubs;
    std::string berth = needed_variable("BERTH_CLI"), source = stubs.folder() / "stub.c";
    Ran named = run_program({berth, "stub", "my_timer", "--source", source}, stubs.environment());
    CHECK_MESSAGE(named.status == 0, named.err);
    CHECK(has(read_file(source), "BERTH_STUB_STATIC(my_timer_build_info, \"build_info\")"));
    Ran unknown = run_program({berth, "stub", "no_such", "--source", source}, stubs.environment());
    CHECK(unknown.status == 3);
    CHECK(has(unknown.err, "no module 'no_such'"));
    Ran other = run_program({berth, "stub", needed_variable("BERTH_MODULE_DIR") + "/echo.toml", "--source", source});
    CHECK(other.status == 3);
    CHECK(has(other.err, "key 'adapter'"));
    Ran compiler = run_program({berth, "stub", stubs.manifest(kAsync), "-o", stubs.folder() / "x.so"}, {{"CC", "/bin/false"}});
    CHECK(compiler.status == 3);
    CHECK(has(compiler.err, "the compiler failed"));
    CHECK_FALSE(std::filesystem::exists(stubs.folder() / "x.so"));
}
