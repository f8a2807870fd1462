/* What is judged is what is connected to: the file is opened, and the kernel finds it again by the descriptor. */
#include "connection/service_socket.h"

#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>

#include "base/raw_io.h"
#include "connection/control_socket.h"
#include "connection/fd_link.h"
#include "connection/service_folder.h"

#define CONNECT_TIMEOUT_MS 1000u
#define CONNECT_AGAIN_MS 5u

static int open_file(int at, const char *name, int flags) {
    return raw_above_stdio(raw_syscall(SYS_openat, at, (long)name, O_PATH | O_CLOEXEC | flags, 0, 0));
}

/* A link in a folder that nobody else can write may still lead to one where others can. */
static int open_searched(const char *path, const struct socket_trust *trust, char *why, size_t why_size) {
    char folder_path[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash || snprintf(folder_path, sizeof folder_path, "%.*s/", (int)(slash - path), path) >= PATH_MAX)
        return -ENAMETOOLONG;
    int folder = service_folder_open(folder_path, trust, why, why_size);
    if (folder < 0)
        return folder;
    int file = open_file(folder, slash + 1, O_NOFOLLOW);
    raw_close(folder);
    return file;
}

static int judge(const struct stat *found, const struct socket_trust *trust, char *why, size_t why_size) {
    if (trust->searched && S_ISLNK(found->st_mode))
        snprintf(why, why_size, "it is a symbolic link");
    else if (!trust->searched && !socket_trust_user(trust, found->st_uid))
        snprintf(why, why_size, "it belongs to user %u", found->st_uid);
    else
        return 0;
    return SOCKET_DISTRUSTED;
}

/* Without a symbolic link in it a path leads through the very folders that were found to be nobody else's to change. */
static int is_reached_straight(const char *path, const struct stat *found) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    int file = raw_above_stdio(raw_syscall(SYS_openat2, AT_FDCWD, (long)path, (long)&how, sizeof how, 0));
    struct stat now;
    int yes = file >= 0 && raw_stat(file, "", &now, AT_EMPTY_PATH) == 0 && raw_is_same_file(&now, found);
    raw_close(file);
    return yes;
}

static int connect_to(int file, const struct stat *found, const char *path, const struct socket_trust *trust, char *why,
                      size_t why_size) {
    char link[FD_LINK_BYTES];
    struct stat linked;
    fd_link(link, file);
    if (raw_stat(AT_FDCWD, link, &linked, 0) == 0 && raw_is_same_file(&linked, found))
        return control_socket_try(link);
    if (trust->searched && !is_reached_straight(path, found)) {
        snprintf(why, why_size, "there is a symbolic link in its path, and no /proc by which to pass it");
        return SOCKET_DISTRUSTED;
    }
    return control_socket_try(path); /* no /proc: of one that was named, who listens has the last word */
}

static int judge_listener(int socket, const struct socket_trust *trust, char *why, size_t why_size) {
    uint32_t uid;
    int rc = control_socket_peer(socket, &uid);
    if (rc < 0 || socket_trust_user(trust, uid))
        return rc;
    snprintf(why, why_size, "user %u listens there", uid);
    return SOCKET_DISTRUSTED;
}

int service_socket_try(const char *path, const struct socket_trust *trust, char *why, size_t why_size) {
    struct stat found;
    int file = trust->searched ? open_searched(path, trust, why, why_size) : open_file(AT_FDCWD, path, 0);
    if (file < 0)
        return file;
    int rc = raw_stat(file, "", &found, AT_EMPTY_PATH);
    if (rc == 0)
        rc = judge(&found, trust, why, why_size);
    int socket = rc == 0 ? connect_to(file, &found, path, trust, why, why_size) : rc;
    raw_close(file);
    if (socket < 0)
        return socket;
    rc = judge_listener(socket, trust, why, why_size);
    if (rc == 0)
        return socket;
    raw_close(socket);
    return rc;
}

int service_socket_connect(const char *path, const struct socket_trust *trust, char *why, size_t why_size) {
    /* EAGAIN: the listener's backlog is full. It is drained as fast as the daemon accepts; wait for it, bounded. */
    uint64_t deadline = berth_now_ns() + CONNECT_TIMEOUT_MS * 1000000ull;
    int fd;
    while ((fd = service_socket_try(path, trust, why, why_size)) == -EAGAIN && berth_now_ns() < deadline)
        raw_pause(CONNECT_AGAIN_MS);
    return fd;
}
