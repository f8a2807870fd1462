/* The kernel's clock, by its own function in the vDSO. Deadlines go to the kernel, which knows no other: under
 * libfaketime and its like libc's clock_gettime says something else, and the two ends of a segment need not agree on
 * it. */
#ifndef BERTH_PROTO_KERNEL_CLOCK_H
#define BERTH_PROTO_KERNEL_CLOCK_H

#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int berth_clock(clockid_t clock, struct timespec *out);

/* One for each program or library that has this header, however many of its files do. */
#define BERTH_CLOCK_ONCE __attribute__((weak, visibility("hidden")))

struct berth_vdso {
    const char *names;
    const ElfW(Sym) *symbols;
    const uint32_t *hash, *gnu_hash;
};

static inline uint32_t berth_vdso_count(const struct berth_vdso *vdso) {
    if (vdso->hash)
        return vdso->hash[1];
    if (!vdso->gnu_hash)
        return 0;
    const uint32_t buckets = vdso->gnu_hash[0], first = vdso->gnu_hash[1], words = vdso->gnu_hash[2];
    const uint32_t *bucket = vdso->gnu_hash + 4 + words * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    uint32_t last = 0;
    for (uint32_t i = 0; i < buckets; i++)
        if (bucket[i] > last)
            last = bucket[i];
    for (const uint32_t *chain = bucket + buckets; last >= first && last && !(chain[last - first] & 1);)
        last++;
    return last ? last + 1 : 0;
}

static inline void berth_vdso_take(struct berth_vdso *vdso, const ElfW(Dyn) *entry, uintptr_t bias) {
    for (; entry->d_tag != DT_NULL; entry++) {
        uintptr_t at = bias + entry->d_un.d_ptr;
        if (entry->d_tag == DT_STRTAB)
            vdso->names = (const char *)at;
        else if (entry->d_tag == DT_SYMTAB)
            vdso->symbols = (const ElfW(Sym) *)at;
        else if (entry->d_tag == DT_HASH)
            vdso->hash = (const uint32_t *)at;
        else if (entry->d_tag == DT_GNU_HASH)
            vdso->gnu_hash = (const uint32_t *)at;
    }
}

/* NULL when there is none. */
static inline berth_clock *berth_vdso_clock(uintptr_t base) {
    const ElfW(Ehdr) *head = (const ElfW(Ehdr) *)base;
    const ElfW(Phdr) *segment = (const ElfW(Phdr) *)(base + head->e_phoff);
    const ElfW(Dyn) *dynamic = NULL;
    uintptr_t bias = base;
    struct berth_vdso vdso = {NULL, NULL, NULL, NULL};
    for (int i = 0; i < head->e_phnum; i++)
        if (segment[i].p_type == PT_LOAD)
            bias = base + segment[i].p_offset - segment[i].p_vaddr;
        else if (segment[i].p_type == PT_DYNAMIC)
            dynamic = (const ElfW(Dyn) *)(base + segment[i].p_offset);
    if (dynamic)
        berth_vdso_take(&vdso, dynamic, bias);
    for (uint32_t i = 0; vdso.names && vdso.symbols && i < berth_vdso_count(&vdso); i++) {
        const char *name = vdso.names + vdso.symbols[i].st_name;
        if (vdso.symbols[i].st_shndx != SHN_UNDEF &&
            (strcmp(name, "__vdso_clock_gettime") == 0 || strcmp(name, "__kernel_clock_gettime") == 0))
            return (berth_clock *)(bias + vdso.symbols[i].st_value);
    }
    return NULL;
}

BERTH_CLOCK_ONCE berth_clock *berth_the_clock;

BERTH_CLOCK_ONCE int berth_clock_without_vdso(clockid_t clock, struct timespec *out) {
    return (int)syscall(SYS_clock_gettime, clock, out);
}

BERTH_CLOCK_ONCE berth_clock *berth_find_clock(void) {
    int saved = errno;
    uintptr_t base = (uintptr_t)getauxval(AT_SYSINFO_EHDR);
    berth_clock *found = base ? berth_vdso_clock(base) : NULL;
    found = found ? found : berth_clock_without_vdso;
    __atomic_store_n(&berth_the_clock, found, __ATOMIC_RELAXED);
    errno = saved;
    return found;
}

static inline uint64_t berth_clock_ns(clockid_t which) {
    struct timespec now;
    berth_clock *clock = __atomic_load_n(&berth_the_clock, __ATOMIC_RELAXED);
    if (__builtin_expect(!clock, 0))
        clock = berth_find_clock();
    clock(which, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t berth_now_ns(void) { return berth_clock_ns(CLOCK_MONOTONIC); }

#ifdef __cplusplus
}
#endif

#endif
