/* The environment that a private supervisor, and with it every worker of its, begins with. */
#ifndef BERTH_DAEMON_ENVIRONMENT_H
#define BERTH_DAEMON_ENVIRONMENT_H

#define DAEMON_ENVIRONMENT_MOST 24

struct environment_room {
    char *entries[DAEMON_ENVIRONMENT_MOST + 1];
};

/* The host's own. `secure` (AT_SECURE: set-uid, set-gid, file capabilities): nothing by which the host's caller could
 * have anything run, read or written with rights that are not the caller's; that is a fixed PATH, and language, time
 * zone and terminal where they name no file. Pure; the entries are not copied. */
char *const *daemon_environment(struct environment_room *room, char *const *environment, int secure);

#endif
