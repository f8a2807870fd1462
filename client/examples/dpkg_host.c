/* The main job, on real input: loads the machine's package database into SQLite, which lives in another process, asks
 * it questions, has that process killed in the middle of one, and goes on.
 *
 *   dpkg-host [STATUS-FILE]     /var/lib/dpkg/status unless given
 *
 * With $BERTH_CLI (the `berth` program) it ends with what a call costs here. */
#include "database.h"
#include "dpkg_status.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROWS_IN_BATCH = 500 };

static const char insert[] = "INSERT INTO packages VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
static const char create[] =
    "CREATE TABLE packages (name TEXT, version TEXT, architecture TEXT, section TEXT, priority TEXT, depends TEXT,"
    " description TEXT, installed_kib INTEGER); CREATE INDEX by_section ON packages (section)";

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* --- loading ----------------------------------------------------------------------------------------------------- */

struct loading {
    const struct database *database;
    cbor_item_t *rows;
    size_t packages, batches;
};

static int send_rows(struct loading *loading) {
    cbor_item_t *rows = loading->rows;
    loading->rows = NULL;
    if (!rows)
        return 0;
    cbor_item_t *answer = database_call(loading->database, loading->database->batch, insert, rows);
    loading->batches++;
    if (!answer)
        return -1;
    cbor_decref(&answer);
    return 0;
}

static int add_package(const struct package *package, void *user_data) {
    struct loading *loading = user_data;
    cbor_item_t *row = cbor_new_definite_array(PACKAGE_TEXTS + 1);
    for (int i = 0; i < PACKAGE_TEXTS; i++) {
        const char *text = package->texts[i];
        if (!cbor_array_push(row, cbor_move(text ? cbor_build_string(text) : cbor_new_null())))
            return -1;
    }
    if (!cbor_array_push(row, cbor_move(cbor_build_uint64((uint64_t)package->installed_kib))))
        return -1;
    if (!loading->rows)
        loading->rows = cbor_new_definite_array(ROWS_IN_BATCH);
    if (!cbor_array_push(loading->rows, cbor_move(row)))
        return -1;
    loading->packages++;
    return cbor_array_size(loading->rows) == ROWS_IN_BATCH ? send_rows(loading) : 0;
}

static int load(const struct database *database, const char *path) {
    struct loading loading = {database, NULL, 0, 0};
    cbor_item_t *answer = database_call(database, database->exec, create, NULL);
    if (!answer)
        return -1;
    cbor_decref(&answer);
    double began = now_ms();
    int rc = dpkg_status_read(path, add_package, &loading);
    if (rc == 0)
        rc = send_rows(&loading);
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", path, rc < -1 ? strerror(-rc) : "not loaded");
    else
        printf("    %zu packages in %zu calls, %.0f ms\n", loading.packages, loading.batches, now_ms() - began);
    return rc;
}

static int ask(const struct database *database) {
    printf("\nThe sections that take the most room:\n");
    if (database_print(database, "SELECT section, count(*) AS packages, sum(installed_kib) / 1024 AS mib FROM packages"
                                 " GROUP BY section ORDER BY mib DESC LIMIT 5"))
        return -1;
    printf("\nThe biggest packages, and how many others ask for each:\n");
    return database_print(
        database, "WITH big AS (SELECT * FROM packages ORDER BY installed_kib DESC LIMIT 5)"
                  " SELECT name, version, installed_kib / 1024 AS mib, (SELECT count(*) FROM packages other WHERE"
                  " ', ' || other.depends || ',' GLOB '*, ' || big.name || '[ ,:]*') AS asked_for FROM big");
}

/* --- the kill ---------------------------------------------------------------------------------------------------- */

static uint64_t number_at(const cbor_item_t *map, const char *key) {
    const cbor_item_t *item = cbor_at(map, key);
    return item && cbor_isa_uint(item) ? cbor_get_int(item) : 0;
}

/* The supervisor knows which worker has our context. */
static pid_t worker_pid(berth_client client) {
    struct berth_reply reply;
    struct cbor_load_result result;
    pid_t pid = 0;
    cbor_item_t *status = berth_status(client, &reply) == BERTH_RET_OK ? cbor_load(reply.data, reply.len, &result) : NULL;
    const cbor_item_t *contexts = cbor_at(status, "contexts");
    for (size_t i = 0; contexts && i < cbor_array_size(contexts); i++) {
        const cbor_item_t *context = cbor_array_handle(contexts)[i];
        if (number_at(context, "host_pid") == (uint64_t)getpid())
            pid = (pid_t)number_at(context, "worker_pid");
    }
    if (status)
        cbor_decref(&status);
    berth_reply_free(&reply);
    return pid;
}

/* Clock ticks of processor time that a process has had. */
static unsigned long ticks_of(pid_t pid) {
    char path[64];
    unsigned long ticks = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &ticks) != 1)
        ticks = 0;
    if (file)
        fclose(file);
    return ticks;
}

static void tell_answer(const struct berth_completion *answer, double ms) {
    struct cbor_load_result result;
    printf("    the query's answer came after %.1f ms: %s", ms, berth_ret_name(answer->ret));
    cbor_item_t *map = answer->ret == BERTH_RET_WORKER_DIED ? cbor_load(answer->data, answer->len, &result) : NULL;
    if (cbor_at(map, "signal"))
        printf(", signal %" PRIu64 " (%s)", number_at(map, "signal"), strsignal((int)number_at(map, "signal")));
    if (map)
        cbor_decref(&map);
    printf("\n");
}

static int kill_in_mid_query(const struct database *database, berth_client client) {
    static const char endless[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    struct berth_completion answer;
    size_t len;
    uint64_t id;
    pid_t pid = worker_pid(client);
    unsigned long before = ticks_of(pid);
    unsigned char *request = database_request(endless, NULL, &len);
    int ret = berth_submit(database->context, database->query, request, len, NULL, NULL, &id);
    free(request);
    if (ret != BERTH_RET_OK || pid <= 1)
        return -1;
    /* It is really running once the worker has used a fifth of a second for it. */
    for (double began = now_ms(); ticks_of(pid) - before < 20 && now_ms() - began < 10000;)
        if (berth_reap(database->context, &answer, 1, 50) != 0)
            return -1;
    printf("    worker %d counts to infinity, %lu0 ms of processor time so far; kill -9\n", (int)pid,
           ticks_of(pid) - before);
    double began = now_ms();
    kill(pid, SIGKILL);
    if (berth_reap(database->context, &answer, 1, 10000) != 1 || answer.id != id)
        return -1;
    tell_answer(&answer, now_ms() - began);
    return answer.ret == BERTH_RET_WORKER_DIED ? 0 : -1;
}

/* --- what a call costs ------------------------------------------------------------------------------------------- */

static double p50_of(const char *report, const char *row) {
    char key[64];
    double value = 0;
    snprintf(key, sizeof key, "\"%s\"", row);
    const char *at = strstr(report, key);
    at = at ? strstr(at, "\"p50\"") : NULL;
    return at && sscanf(at, "\"p50\" : %lf", &value) == 1 ? value : 0;
}

static void cost(void) {
    static char report[65536];
    char command[4096];
    const char *cli = getenv("BERTH_CLI");
    if (!cli || snprintf(command, sizeof command, "'%s' bench --quick --json", cli) >= (int)sizeof command)
        return;
    printf("\nWhat a call costs here (64 bytes there and back, median; berth bench --quick):\n");
    fflush(stdout);
    FILE *pipe = popen(command, "re");
    size_t len = pipe ? fread(report, 1, sizeof report - 1, pipe) : 0;
    int status = pipe ? pclose(pipe) : -1;
    report[len] = 0;
    double limit = p50_of(report, "limit_spin_ns"), call = p50_of(report, "call_hot_ns");
    if (status != 0 || limit <= 0 || call <= 0)
        printf("    not measured\n");
    else
        printf("    two processes that spin on shared memory, nothing else   %8.0f ns\n"
               "    berth_call                                               %8.0f ns   %.1f times that\n"
               "    a unix socket                                            %8.0f ns\n",
               limit, call, call / limit, p50_of(report, "unix_socket_ns"));
}

/* --- the story --------------------------------------------------------------------------------------------------- */

static int run(const char *status_file, const char *file, berth_client client) {
    struct database database;
    printf("Loading %s into SQLite, which runs in another process:\n", status_file);
    if (database_open(&database, client, file) || load(&database, status_file) || ask(&database))
        return -1;
    printf("\nKilling it in the middle of a query:\n");
    if (kill_in_mid_query(&database, client))
        return -1;
    berth_close(database.context, NULL, NULL);
    printf("    this host, process %d, goes on\n", (int)getpid());
    printf("\nA new context, on the same file:\n");
    if (database_open(&database, client, file))
        return -1;
    printf("    worker %d\n", (int)worker_pid(client));
    int rc = database_print(&database, "SELECT count(*) AS packages, count(DISTINCT section) AS sections FROM packages");
    berth_close(database.context, NULL, NULL);
    return rc;
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/berth-quickstart-XXXXXX", file[sizeof folder + 32];
    berth_client client;
    setvbuf(stdout, NULL, _IOLBF, 0);
    int ret = berth_connect(NULL, &client);
    if (ret != BERTH_RET_OK || !mkdtemp(folder)) {
        fprintf(stderr, "no supervisor: %s\n", berth_ret_name(ret));
        return 1;
    }
    snprintf(file, sizeof file, "%s/packages.db", folder);
    int rc = run(argc > 1 ? argv[1] : "/var/lib/dpkg/status", file, client);
    ret = berth_disconnect(client);
    unlink(file);
    strcat(file, "-journal");
    unlink(file);
    rmdir(folder);
    if (rc == 0 && ret == BERTH_RET_OK)
        cost();
    printf("\n%s\n", rc == 0 && ret == BERTH_RET_OK ? "Everything went as it should." : "Something went wrong.");
    return rc == 0 && ret == BERTH_RET_OK ? 0 : 1;
}
