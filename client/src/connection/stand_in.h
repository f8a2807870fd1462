/* The process that stands in for the host as the parent of a private supervisor, where the host would be given its
 * orphans. It shares the host's memory, outlives the thread that made it, and so makes system calls and nothing
 * else. */
#ifndef BERTH_STAND_IN_H
#define BERTH_STAND_IN_H

/* Whether this machine's system calls can be made without libc. */
int stand_in_is_possible(void);

/* Before the daemon is started: orphans below it will be the stand-in's. */
void stand_in_prepare(void);

/* Lets go of all descriptors, says that the daemon has been started (*launched becomes 0, and who waits for that is
 * woken), and ends once it has no children. Does not return. */
void stand_in_stay(int *launched);

#endif
