#include "stub/build.h"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern char **environ;

namespace berth::cli {
namespace {

namespace fs = std::filesystem;

class TempFolder {
  public:
    TempFolder() {
        std::string name = (fs::temp_directory_path() / "berth-stub-XXXXXX").string();
        if (::mkdtemp(name.data()))
            path_ = name;
    }
    ~TempFolder() {
        std::error_code ignored;
        if (!path_.empty())
            fs::remove_all(path_, ignored);
    }
    TempFolder(const TempFolder &) = delete;
    explicit operator bool() const { return !path_.empty(); }
    std::string operator/(const char *name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

bool write(const std::string &path, const std::string &text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    return static_cast<bool>(file.flush());
}

std::string read(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::vector<std::string> words_of(const char *text) {
    std::istringstream in(text);
    std::vector<std::string> words;
    for (std::string word; in >> word;)
        words.push_back(word);
    return words;
}

std::vector<std::string> command(const StubPlan &plan, const std::string &folder, const TempFolder &temp,
                                 const std::string &out) {
    const char *compiler = std::getenv("CC");
    std::vector<std::string> words = words_of(compiler && *compiler ? compiler : "cc");
    std::vector<std::string> sanitizers = words_of(BERTH_STUB_FLAGS); // of this build
    words.insert(words.end(), sanitizers.begin(), sanitizers.end());
    for (const char *word : {"-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread", "-Wall"})
        words.push_back(word);
    words.insert(words.end(), {"-I", folder, "-o", out, temp / "stub.c", folder + "/libberth-stub.a", "-lcbor"});
    if (!plan.soname.empty())
        words.push_back("-Wl,-soname," + plan.soname);
    words.push_back("-Wl,--version-script=" + temp / "stub.map");
    // Nothing of berth's is visible or replaceable; and its threads outlive a dlclose.
    for (const char *word : {"-Wl,--exclude-libs,ALL", "-Wl,-Bsymbolic", "-Wl,-z,nodelete"})
        words.push_back(word);
    // A symbol that is nowhere is the maker's to see, not the host's; a sanitizer's are in the program.
    if (sanitizers.empty())
        words.push_back("-Wl,-z,defs");
    return words;
}

// What the program said is in `log`.
bool run(const std::vector<std::string> &words, const std::string &log) {
    std::vector<char *> argv;
    for (const auto &word : words)
        argv.push_back(const_cast<char *>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    pid_t pid = -1;
    int status = -1, rc = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0) {
        write(log, fmt::format("cannot run {}: {}", words[0], strerrordesc_np(rc)));
        return false;
    }
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status == 0;
}

} // namespace

Result<std::string> stub_folder() {
    std::error_code error;
    fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
    std::string looked;
    for (const fs::path &folder : {program / BERTH_STUBDIR_FROM_BIN, program / ".." / "stub", fs::path(BERTH_STUBDIR)}) {
        if (fs::exists(folder / "libberth-stub.a", error) && fs::exists(folder / "berth_stub.h", error))
            return folder.lexically_normal().string();
        looked += (looked.empty() ? "" : ", ") + folder.lexically_normal().string();
    }
    return Error{1, "libberth-stub.a and berth_stub.h are in none of " + looked};
}

Result<bool> build_stub(const StubPlan &plan, const std::string &folder, const std::string &out) {
    TempFolder temp;
    if (!temp)
        return Error{1, "no temporary folder"};
    std::string part = out + ".part", log = temp / "log";
    if (!write(temp / "stub.c", stub_source(plan)) || !write(temp / "stub.map", stub_version_script(plan)))
        return Error{1, "cannot write to the temporary folder"};
    if (!run(command(plan, folder, temp, part), log)) {
        ::unlink(part.c_str());
        return Error{1, "the compiler failed:\n" + read(log)};
    }
    if (::rename(part.c_str(), out.c_str()) != 0) {
        int why = errno;
        ::unlink(part.c_str());
        return Error{1, out + ": " + strerrordesc_np(why)};
    }
    return true;
}

} // namespace berth::cli
