#include "dpkg_status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[PACKAGE_TEXTS] = {"Package", "Version", "Architecture", "Section", "Priority", "Depends",
                                                "Description"};

static void forget(struct package *package) {
    for (int i = 0; i < PACKAGE_TEXTS; i++)
        free(package->texts[i]);
    memset(package, 0, sizeof *package);
}

/* A line is "Key: value"; one that begins with a blank goes on with the value before, which nobody here needs. */
static void take_line(struct package *package, char *line) {
    char *colon = strchr(line, ':');
    if (!colon || *line == ' ')
        return;
    *colon = 0;
    const char *value = colon + 1 + strspn(colon + 1, " ");
    if (strcmp(line, "Installed-Size") == 0)
        package->installed_kib = strtoll(value, NULL, 10);
    for (int i = 0; i < PACKAGE_TEXTS; i++)
        if (strcmp(line, keys[i]) == 0 && !package->texts[i])
            package->texts[i] = strdup(value);
}

int dpkg_status_read(const char *path, int (*each)(const struct package *package, void *user_data), void *user_data) {
    FILE *file = fopen(path, "re");
    struct package package = {0};
    char *line = NULL;
    size_t room = 0;
    int rc = 0;
    if (!file)
        return -errno;
    for (ssize_t len = 0; rc == 0 && len >= 0;) {
        len = getline(&line, &room, file);
        if (len > 0 && line[len - 1] == '\n')
            line[--len] = 0;
        if (len > 0) {
            take_line(&package, line);
            continue;
        }
        /* An empty line, or the file's end, ends the stanza. */
        if (package.texts[PACKAGE_NAME])
            rc = each(&package, user_data);
        forget(&package);
    }
    forget(&package);
    free(line);
    fclose(file);
    return rc;
}
