/* What a worker leaves behind when it dies: a memfd of this shape, made and sealed against resizing by the supervisor,
 * given to the worker as descriptor 4, and read by the supervisor once the worker is dead.
 *
 * The worker notes in `running` what its library thread does, all the time; its signal handler fills in the rest, in
 * the order of `stage`. Nothing here is from a payload, but what a register happened to hold.
 *
 * The reader copies it once and then checks: a module can write here what it likes. Texts need not end, counts need
 * not be true. Fields are in machine byte order; reserved ones are zero. */
#ifndef BERTH_PROTO_CRASH_AREA_H
#define BERTH_PROTO_CRASH_AREA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_CRASH_FD 4 /* where the worker finds it */

/* Exit status of a worker that ends itself, as its library did not end within the bounds of a close. */
#define BERTH_EXIT_WEDGED 70

#define BERTH_CRASH_MAX_REGISTERS 40u
#define BERTH_CRASH_MAX_FRAMES 64u
#define BERTH_CRASH_MAX_MAPS 28672u

enum berth_crash_stage {
    BERTH_CRASH_NOTHING = 0,   /* no handler of the worker's has run */
    BERTH_CRASH_FAULT = 1,     /* signal, code, address, thread and registers stand */
    BERTH_CRASH_FRAMES = 2,    /* and the addresses of the frames, with their modules */
    BERTH_CRASH_MAPS = 3,      /* and the memory maps */
    BERTH_CRASH_SYMBOLS = 4    /* and the symbols: the handler came to its end */
};

enum berth_crash_doing {
    BERTH_DOING_NOTHING = 0,
    BERTH_DOING_CREATE = 1,
    BERTH_DOING_REQUEST = 2,
    BERTH_DOING_DESTROY = 3
};

struct berth_crash_running {
    uint32_t doing;  /* enum berth_crash_doing; written last at the beginning, first at the end */
    uint32_t method; /* its index, in the order of `ready` */
    uint64_t id;
    uint64_t size;   /* of the payload */
    uint64_t reserved[5];
};

struct berth_crash_register {
    char name[8];
    uint64_t value;
};

struct berth_crash_frame {
    uint64_t address;
    uint64_t offset;        /* in its module, as the module's symbol table counts */
    uint64_t symbol_offset; /* from the symbol on */
    char module[104];       /* path, or the end of a longer one; empty: in none */
    char symbol[128];       /* as the linker knows it; empty: unknown */
};

struct berth_crash_area {
    struct berth_crash_running running;
    uint32_t stage;  /* enum berth_crash_stage */
    uint32_t signal;
    int32_t code;    /* si_code */
    uint32_t thread; /* its id */
    uint64_t address; /* si_addr, where the signal has one */
    char thread_name[16];
    uint32_t register_count;
    uint32_t frame_count;
    uint32_t maps_size;
    uint32_t cut; /* BERTH_CRASH_FRAMES_CUT, BERTH_CRASH_MAPS_CUT: there were more than fit */
    uint64_t reserved[8];
    struct berth_crash_register registers[BERTH_CRASH_MAX_REGISTERS];
    struct berth_crash_frame frames[BERTH_CRASH_MAX_FRAMES];
    char maps[BERTH_CRASH_MAX_MAPS]; /* /proc/self/maps */
};

#define BERTH_CRASH_FRAMES_CUT 1u
#define BERTH_CRASH_MAPS_CUT 2u

#ifdef __cplusplus
static_assert(sizeof(struct berth_crash_frame) == 256, "no padding");
static_assert(sizeof(struct berth_crash_area) == 45880, "the reader takes it as a whole");
#else
_Static_assert(sizeof(struct berth_crash_frame) == 256, "no padding");
_Static_assert(sizeof(struct berth_crash_area) == 45880, "the reader takes it as a whole");
#endif

#ifdef __cplusplus
}
#endif
#endif
