// Runs a fuzz target on every file of a directory, so that the corpus is an ordinary test.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz.h"

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    std::error_code error;
    std::filesystem::directory_iterator files(argv[1], error);
    if (error) {
        std::fprintf(stderr, "%s: %s\n", argv[1], error.message().c_str());
        return 1;
    }
    unsigned inputs = 0;
    for (const auto &file : files) {
        std::ifstream in(file.path(), std::ios::binary);
        std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
        if (in.bad() || !in.is_open()) {
            std::fprintf(stderr, "%s: cannot be read\n", file.path().c_str());
            return 1;
        }
        // Exactly as large as the input, so that a sanitizer sees the first byte beyond it.
        bytes.shrink_to_fit();
        LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
        inputs++;
    }
    std::printf("%u inputs\n", inputs);
    return inputs ? 0 : 1;
}
