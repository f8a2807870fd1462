#include "supervisor/manifest_dir.h"

#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>

using namespace berth;

namespace {

struct Folder {
    std::filesystem::path path;
    Folder() {
        char name[] = "/tmp/berth-manifests-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string write(const char *file, const char *text) const {
        std::ofstream(path / file) << text;
        return (path / file).string();
    }
};

} // namespace

TEST_CASE("a broken manifest leaves the others served") {
    Folder folder;
    folder.write("good.toml", "library = \"good.so\"\n");
    auto bad = folder.write("bad.toml", "library = \"bad.so\"\nspares = []\n");
    folder.write("notes.txt", "not a manifest");
    auto catalogue = load_manifests({folder.path.string()});
    REQUIRE(catalogue.modules.size() == 1);
    CHECK(catalogue.modules[0].name == "good");
    CHECK(catalogue.modules[0].library == (folder.path / "good.so").string());
    REQUIRE(catalogue.broken.size() == 1);
    CHECK(catalogue.broken[0].name == "bad");
    CHECK(catalogue.broken[0].file == bad);
    CHECK(catalogue.broken[0].error == bad + ":2: key 'spares': must be an integer, not an array");
}

TEST_CASE("of two modules of one name the first folder's stands and the other is reported") {
    Folder first, second;
    auto one = first.write("echo.toml", "library = \"one.so\"\n");
    auto two = second.write("other.toml", "library = \"two.so\"\nname = \"echo\"\n");
    auto catalogue = load_manifests({first.path.string(), second.path.string()});
    REQUIRE(catalogue.modules.size() == 1);
    CHECK(catalogue.modules[0].file == one);
    REQUIRE(catalogue.broken.size() == 1);
    CHECK(catalogue.broken[0].error == two + ":2: key 'name': module 'echo' is already defined by " + one);
}

TEST_CASE("a folder that does not exist is empty") {
    auto catalogue = load_manifests({"/nonexistent/berth"});
    CHECK(catalogue.modules.empty());
    CHECK(catalogue.broken.empty());
}
