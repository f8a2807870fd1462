#include "supervisor/manifest_dir.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

#include "supervisor/log.h"

namespace berth {
namespace {

namespace fs = std::filesystem;
constexpr uintmax_t kMaxManifestBytes = 1 << 20;

std::vector<fs::path> manifest_files(const std::string &folder) {
    std::vector<fs::path> files;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        if (at->path().extension() == ".toml")
            files.push_back(fs::absolute(at->path()).lexically_normal());
    if (error && error != std::errc::no_such_file_or_directory)
        log::warn("module folder {}: {}", folder, error.message());
    std::sort(files.begin(), files.end());
    return files;
}

Result<std::string> read_file(const fs::path &path) {
    std::error_code error;
    // Only regular files: a FIFO would hold up the loop.
    if (!fs::is_regular_file(path, error))
        return Error{1, "not a regular file"};
    if (fs::file_size(path, error) > kMaxManifestBytes)
        return Error{1, "too large for a manifest"};
    std::ifstream in(path, std::ios::binary);
    if (!in)
        return Error{1, std::string("cannot be read: ") + std::strerror(errno)};
    return std::string(std::istreambuf_iterator<char>(in), {});
}

Result<Manifest> load_one(const fs::path &path) {
    auto text = read_file(path);
    if (!text)
        return Error{1, manifest_error_line(path.string(), 1, "", text.error().text)};
    return parse_manifest(*text, path.string());
}

void add(Catalogue &catalogue, const fs::path &path) {
    auto manifest = load_one(path);
    if (!manifest) {
        catalogue.broken.push_back({path.stem().string(), path.string(), manifest.error().text});
        return;
    }
    auto same_name = [&](const Manifest &other) { return other.name == manifest->name; };
    auto first = std::find_if(catalogue.modules.begin(), catalogue.modules.end(), same_name);
    if (first == catalogue.modules.end()) {
        catalogue.modules.push_back(std::move(*manifest));
        return;
    }
    auto what = fmt::format("module '{}' is already defined by {}", manifest->name, first->file);
    catalogue.broken.push_back(
        {manifest->name, path.string(), manifest_error_line(path.string(), manifest->name_line, "name", what)});
}

} // namespace

Catalogue load_manifests(const std::vector<std::string> &folders) {
    Catalogue catalogue;
    for (const auto &folder : folders)
        for (const auto &path : manifest_files(folder))
            add(catalogue, path);
    return catalogue;
}

} // namespace berth
