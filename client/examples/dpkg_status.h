/* Reads dpkg's status file, one package after the other: as little in memory as one stanza. */
#ifndef DPKG_STATUS_H
#define DPKG_STATUS_H

#include <stdint.h>

enum package_field { PACKAGE_NAME, PACKAGE_VERSION, PACKAGE_ARCHITECTURE, PACKAGE_SECTION, PACKAGE_PRIORITY,
                     PACKAGE_DEPENDS, PACKAGE_DESCRIPTION, PACKAGE_TEXTS };

struct package {
    char *texts[PACKAGE_TEXTS]; /* NULL: the stanza does not have it; of the description the first line */
    int64_t installed_kib;      /* 0: not said */
};

/* Calls `each` for every package until it returns non-zero. 0, what `each` returned, or -errno of the file. */
int dpkg_status_read(const char *path, int (*each)(const struct package *package, void *user_data), void *user_data);

#endif
