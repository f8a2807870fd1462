/* The folder is opened first and then judged, and so are those above it, from ".." to "..": what symbolic links its
 * name was reached by does not matter, as nothing is looked up by that name again. */
#include "connection/service_folder.h"

#include <stdio.h>

#include "base/raw_io.h"
#include "connection/fd_link.h"

#define NAME_BYTES 256

static int open_folder(int at, const char *path) {
    return raw_above_stdio(raw_syscall(SYS_openat, at, (long)path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0));
}

static void name_of(int folder, int above, char *name, size_t size) {
    char link[FD_LINK_BYTES];
    long len = -1;
    if (above) {
        fd_link(link, folder);
        len = raw_syscall(SYS_readlinkat, AT_FDCWD, (long)link, (long)name, (long)size - 1, 0);
    }
    if (len > 0)
        name[len] = 0;
    else
        snprintf(name, size, "%s", above ? "a folder above it" : "its folder");
}

static int judge(int folder, const struct stat *found, int above, const struct socket_trust *trust, char *why,
                 size_t why_size) {
    char name[NAME_BYTES];
    enum folder_fault fault = socket_trust_folder(trust, found->st_mode, found->st_uid, above);
    if (fault == FOLDER_NO_FAULT)
        return 0;
    name_of(folder, above, name, sizeof name);
    if (fault == FOLDER_OF_ANOTHER)
        snprintf(why, why_size, "%s belongs to user %u", name, found->st_uid);
    else if (fault == FOLDER_OPEN_TO_ALL)
        snprintf(why, why_size, "%s can be written by everybody", name);
    else
        snprintf(why, why_size, "%s can be written by group %u", name, found->st_gid);
    return SOCKET_DISTRUSTED;
}

/* To the root, which is above itself. */
static int climb(int folder, const struct socket_trust *trust, char *why, size_t why_size) {
    struct stat found, below;
    int at = folder, above = 0, rc;
    while ((rc = raw_stat(at, "", &found, AT_EMPTY_PATH)) == 0 && !(above && raw_is_same_file(&found, &below)) &&
           (rc = judge(at, &found, above, trust, why, why_size)) == 0) {
        int up = open_folder(at, "..");
        if (above)
            raw_close(at);
        if (up < 0)
            return up;
        at = up;
        above = 1;
        below = found;
    }
    if (above)
        raw_close(at);
    return rc;
}

int service_folder_open(const char *path, const struct socket_trust *trust, char *why, size_t why_size) {
    int folder = open_folder(AT_FDCWD, path);
    int rc = folder < 0 ? folder : climb(folder, trust, why, why_size);
    if (rc < 0 && folder >= 0)
        raw_close(folder);
    return rc < 0 ? rc : folder;
}
