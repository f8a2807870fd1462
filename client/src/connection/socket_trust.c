#include "connection/socket_trust.h"

#include <sys/stat.h>

static int is_own_or_root(const struct socket_trust *trust, uint32_t uid) { return uid == 0 || uid == trust->own; }

int socket_trust_user(const struct socket_trust *trust, uint32_t uid) {
    return is_own_or_root(trust, uid) || (!trust->searched && uid == trust->said);
}

enum folder_fault socket_trust_folder(const struct socket_trust *trust, uint32_t mode, uint32_t uid, int above) {
    if (!is_own_or_root(trust, uid))
        return FOLDER_OF_ANOTHER;
    if (above && (mode & S_ISVTX))
        return FOLDER_NO_FAULT;
    if (mode & S_IWOTH)
        return FOLDER_OPEN_TO_ALL;
    return mode & S_IWGRP ? FOLDER_OPEN_TO_A_GROUP : FOLDER_NO_FAULT;
}
