#include "berth/berth.h"

const char *berth_ret_name(int ret) {
    static const char *const names[] = {
        "OK",       "ERR",        "MISSING_CALLBACK", "STALE_WARN",  "TIMEOUT",   "CLOSED",          "INVALID_CTX",
        "BUSY",     "QUEUE_FULL", "TOO_LARGE",        "WORKER_DIED", "RECYCLED",  "UNAVAILABLE",     "DENIED",
        "PROTOCOL", "FORKED",     "NO_MODULE",        "CANCELLED",   "EXHAUSTED", "INVALID_ARGUMENT"};
    return ret >= 0 && (unsigned)ret < sizeof names / sizeof *names ? names[ret] : "UNKNOWN";
}
