package berth

import "sync/atomic"

// Waiting for an answer in C costs no goroutine switch and no wakeup, but holds the goroutine's thread. So a call waits
// there only briefly (hotWaitUS), only when the method's answers have come that fast lately, and only when no other
// request is in flight on the context. Any number of goroutines so hold one thread for each context at most, and each
// for some microseconds. Several at a time look for their answers in turns, and so take them in batches (reaper). The
// numbers behind this are in daemon/adr/0012.
const (
	hotWaitUS   = 50
	longestSkip = 1024 // calls between two tries of a method that is slow
)

// hot is what was learned of one method: after a wait or looks in vain the next calls do not try, twice as many each
// time; an answer in time makes it hot again.
type hot struct {
	skip uint32 // calls still to go without waiting
	pace uint32 // how many they were last time
}

// quick tells whether the coming call may count on a fast answer.
func (h *hot) quick() bool {
	skip := atomic.LoadUint32(&h.skip)
	if skip > 0 {
		atomic.StoreUint32(&h.skip, skip-1) // a lost count does no harm
	}
	return skip == 0
}

func (h *hot) learn(inTime bool) {
	pace := atomic.LoadUint32(&h.pace)
	switch {
	case !inTime:
		if pace = 2*pace + 1; pace > longestSkip {
			pace = longestSkip
		}
		atomic.StoreUint32(&h.pace, pace)
		atomic.StoreUint32(&h.skip, pace)
	case pace > 0:
		atomic.StoreUint32(&h.pace, 0)
	}
}
