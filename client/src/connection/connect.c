#include "connection/connect.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/raw_io.h"
#include "connection/control_thread.h"
#include "connection/service_socket.h"
#include "kill_point.h"

#define HELLO_TIMEOUT_MS 10000
#define FAILED_END_MS 5000u
#define CAUSE_BYTES 320

/* What has been found out on the way. */
struct search {
    int socket; /* or -errno */
    uint32_t supervisor_pid;
    struct private_supervisor own;
    char path[PATH_MAX]; /* that was tried last; empty: of a private supervisor */
    struct socket_trust trust;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 2, 3))) static void say(struct search *search, const char *format, ...) {
    size_t used = strlen(search->why);
    va_list arguments;
    va_start(arguments, format);
    if (used < search->why_size)
        vsnprintf(search->why + used, search->why_size - used, format, arguments);
    va_end(arguments);
}

static int try_service(struct search *search, const char *path, int searched) {
    char cause[CAUSE_BYTES] = "";
    snprintf(search->path, sizeof search->path, "%s", path);
    search->trust.searched = searched;
    search->socket = service_socket_connect(path, &search->trust, cause, sizeof cause);
    if (search->socket < 0)
        say(search, "%scannot %s %s: %s", *search->why ? "; " : "", *cause ? "trust" : "connect to", path,
            *cause ? cause : strerrordesc_np(-search->socket));
    return search->socket >= 0;
}

static int find_service(struct search *search, const struct berth_options *options) {
    char path[PATH_MAX];
    const char *named = options->socket_path, *runtime = secure_getenv("XDG_RUNTIME_DIR");
    if (!named)
        named = secure_getenv("BERTH_SOCKET");
    if (named && *named)
        return try_service(search, named, 0);
    if (runtime && *runtime && snprintf(path, sizeof path, "%s/berth/berthd.sock", runtime) < (int)sizeof path &&
        try_service(search, path, 1))
        return 1;
    return try_service(search, "/run/berth/berthd.sock", 1);
}

/* Where a caller means one service, and that is somebody else's, a supervisor of our own is no answer. */
static int is_refused(const struct search *search) {
    return search->socket == SOCKET_DISTRUSTED && !search->trust.searched;
}

static int find_supervisor(struct search *search, const struct berth_options *options) {
    char why[256] = "";
    if (!(options->flags & BERTH_PRIVATE) && find_service(search, options))
        return 1;
    if ((options->flags & BERTH_NO_PRIVATE) || is_refused(search))
        return 0;
    search->path[0] = 0;
    search->socket = private_supervisor_start(options->module_dir, &search->own, why, sizeof why);
    if (search->socket < 0)
        say(search, "%s%s", *search->why ? "; " : "", *why ? why : strerrordesc_np(-search->socket));
    return search->socket >= 0;
}

static int ret_of(int rc) {
    switch (-rc) {
    case EACCES:
    case EPERM:
        return BERTH_RET_DENIED;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return BERTH_RET_EXHAUSTED;
    default:
        return BERTH_RET_UNAVAILABLE;
    }
}

static const char *name_of(const struct search *search) { return *search->path ? search->path : "the private berthd"; }

static int welcomed(struct search *search, const struct control_packet *packet) {
    uint64_t version = packet->message.fields[BERTH_KEY_VERSION].number;
    const struct berth_control_field *text = &packet->message.fields[BERTH_KEY_TEXT];
    if (packet->message.type != BERTH_MSG_WELCOME)
        say(search, "%s refused the connection: %.*s", name_of(search), (int)(text->len > 200 ? 200 : text->len),
            text->len ? (const char *)text->data : "it gave no reason");
    else if (version < CLIENT_VERSION_LEAST || version > BERTH_CONTROL_VERSION_MAX)
        say(search, "%s speaks version %llu of the protocol, which this library does not", name_of(search),
            (unsigned long long)version);
    else {
        search->supervisor_pid = (uint32_t)packet->message.fields[BERTH_KEY_PID].number;
        return BERTH_RET_OK;
    }
    return BERTH_RET_PROTOCOL;
}

/* A refusal that did not wait for our hello comes with a reset, which is told first. */
static int hear_welcome(struct search *search, struct control_packet *packet) {
    int rc = control_socket_receive(search->socket, packet, HELLO_TIMEOUT_MS);
    if (rc == -ECONNRESET)
        rc = control_socket_receive(search->socket, packet, 0);
    if (rc == 1)
        return welcomed(search, packet);
    if (rc == -EBADMSG)
        say(search, "%s sent what cannot be: %s", name_of(search), packet->why);
    else if (rc == 0)
        say(search, "%s did not answer in %d s", name_of(search), HELLO_TIMEOUT_MS / 1000);
    else
        say(search, "%s ended the connection before its greeting", name_of(search));
    return rc == -EBADMSG ? BERTH_RET_PROTOCOL : BERTH_RET_UNAVAILABLE;
}

static int shake_hands(struct search *search) {
    struct berth_control_message hello;
    struct control_packet *packet = malloc(sizeof *packet);
    if (!packet) {
        say(search, "no memory");
        return BERTH_RET_EXHAUSTED;
    }
    client_hello(&hello);
    int ret = BERTH_RET_UNAVAILABLE, rc = control_socket_send(search->socket, &hello, NULL, 0);
    BERTH_KILL_POINT("host.hello_sent");
    if (rc == 0 || rc == -EPIPE)
        ret = hear_welcome(search, packet);
    else
        say(search, "cannot greet %s: %s", name_of(search), strerrordesc_np(-rc));
    free(packet);
    return ret;
}

static struct client *start(struct search *search) {
    struct client *client = client_new(search->socket, search->path, &search->trust, search->supervisor_pid);
    if (client) {
        client->own_supervisor = search->own;
        if (control_thread_start(client) == 0)
            return client;
        client->socket = -1; /* the caller's still */
        handle_end(&berth_clients, client->handle);
        client_release(client);
    }
    say(search, "no memory, descriptors, handles or threads for a connection to %s", name_of(search));
    return NULL;
}

int connection_open(const struct berth_options *options, struct client **out, char *why, size_t why_size) {
    struct search *search = calloc(1, sizeof *search);
    *why = 0;
    if (!search) {
        snprintf(why, why_size, "no memory");
        return BERTH_RET_EXHAUSTED;
    }
    search->why = why;
    search->why_size = why_size;
    search->socket = -ENOENT;
    search->trust.own = (uint32_t)geteuid();
    search->trust.said = options->socket_owner;
    int ret = find_supervisor(search, options) ? shake_hands(search) : ret_of(search->socket);
    *out = ret == BERTH_RET_OK ? start(search) : NULL;
    if (ret == BERTH_RET_OK && !*out)
        ret = BERTH_RET_EXHAUSTED;
    if (!*out && search->socket >= 0) {
        raw_close(search->socket);
        private_supervisor_reap(&search->own, FAILED_END_MS);
    }
    free(search);
    return ret;
}
