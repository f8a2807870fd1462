package berth

import "sync"

// flight is one request from before it is sent until its answer was taken. It is used again and again: its place in
// the table is its ticket, by which the reaper finds it. C keeps the ticket and never a Go pointer.
//
// An accepted request gets exactly one answer, so a ticket is free once that is there.
type flight struct {
	ticket uint64
	alone  bool // nobody else was in flight when this one began
	sent   sent
	code   Code
	reply  []byte        // in: where to append the answer; out: the answer
	done   chan struct{} // holds one word: the reaper has written code and reply
}

// flights is the table of a context's requests.
type flights struct {
	mu    sync.Mutex
	table []*flight // a ticket's place never changes
	free  []*flight
}

// take gives a flight that is nobody else's until give.
func (f *flights) take() *flight {
	f.mu.Lock()
	n := len(f.free)
	if n == 0 {
		flight := &flight{ticket: uint64(len(f.table)), alone: len(f.table) == 0, done: make(chan struct{}, 1)}
		f.table = append(f.table, flight)
		f.mu.Unlock()
		return flight
	}
	flight := f.free[n-1]
	f.free = f.free[:n-1]
	flight.alone = n == len(f.table)
	f.mu.Unlock()
	return flight
}

func (f *flights) give(flight *flight) {
	flight.reply = nil
	f.mu.Lock()
	f.free = append(f.free, flight)
	f.mu.Unlock()
}

// all is the table as it is now; tickets of requests that were sent before are in it.
func (f *flights) all() []*flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.table
}

// answered tells whether the answer is there, once.
func (f *flight) answered() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}
