/* The least that a worker could be: loads the library, says so with one byte on descriptor 3, and ends with its peer. */
#include <dlfcn.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char byte = 1;
    if (argc != 2 || !dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) || write(3, &byte, 1) != 1)
        return 1;
    return read(3, &byte, 1) != 0;
}
