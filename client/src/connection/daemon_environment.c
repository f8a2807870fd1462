#include "connection/daemon_environment.h"

#include <stddef.h>
#include <string.h>

static int begins(const char *entry, const char *name) { return strncmp(entry, name, strlen(name)) == 0; }

/* A format of messages is as good as a program to who reads them. */
static int names_no_file(const char *entry) {
    const char *value = strchr(entry, '=');
    return value && value[1] != ':' && !strpbrk(value, "/%");
}

static int is_harmless(const char *entry) {
    static const char *const names[] = {"LANG=", "LANGUAGE=", "LC_", "TZ=", "TERM="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (begins(entry, names[i]))
            return names_no_file(entry);
    return 0;
}

char *const *daemon_environment(struct environment_room *room, char *const *environment, int secure) {
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    size_t count = 0;
    if (!secure)
        return environment;
    room->entries[count++] = path;
    for (; environment && *environment && count < DAEMON_ENVIRONMENT_MOST; environment++)
        if (is_harmless(*environment))
            room->entries[count++] = *environment;
    room->entries[count] = NULL;
    return room->entries;
}
