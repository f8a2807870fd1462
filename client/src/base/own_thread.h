/* Which threads are berth's own: they must not wait for each other, and may be moved between CPUs. */
#ifndef BERTH_OWN_THREAD_H
#define BERTH_OWN_THREAD_H

int own_thread_is_current(void);
void own_thread_mark(void);

#endif
