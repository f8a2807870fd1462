// Reads the manifests of the module folders.
#pragma once

#include <string>
#include <vector>

#include "supervisor/manifest.h"

namespace berth {

struct BrokenManifest {
    std::string name; // what the module would be called
    std::string file;
    std::string error; // one line, which names file, line and key
};

struct Catalogue {
    std::vector<Manifest> modules;
    std::vector<BrokenManifest> broken;
};

// Folders in order of precedence: of two modules of one name the first stands, the other is reported as broken. A
// folder that does not exist is empty.
Catalogue load_manifests(const std::vector<std::string> &folders);

} // namespace berth
