package berth

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"sync"
	"unsafe"
)

// Overflow says what happens to an event that finds its channel full. Events are never waited for: answers would have to
// wait with them.
type Overflow int

const (
	DropNewest    Overflow = iota + 1 // the event is dropped
	DropOldest                        // the one that waits longest is dropped
	EndOnOverflow                     // the subscription ends, with ErrOverflow
)

// Events is a subscription.
type Events struct {
	// C has the events' payloads, in the order in which they were emitted. It is closed at the end of the subscription.
	C <-chan []byte

	context  *Context
	name     string
	ticket   uint64
	listener C.uint64_t
	overflow Overflow

	mu      sync.Mutex
	c       chan []byte
	dropped uint64
	ended   bool
	err     error
}

// Events subscribes to the module's events of a name. size is how many may wait in the channel (1 or more), overflow what
// happens to more. Besides, a worker drops events for a host that does not take them out of shared memory; this
// package always does.
func (c *Context) Events(name string, size int, overflow Overflow) (*Events, error) {
	if size < 1 || overflow < DropNewest || overflow > EndOnOverflow {
		return nil, &Error{Op: "events", What: c.module + "." + name, Code: ErrInvalidArgument, Text: "a size or a rule that cannot be"}
	}
	e := &Events{context: c, name: name, overflow: overflow, c: make(chan []byte, size)}
	e.C = e.c
	if !c.events.add(e) {
		return nil, c.refusedEvents(name, ErrClosed)
	}
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	ret := Code(C.bg_listen(c.bits, text, C.uint64_t(e.ticket), &e.listener))
	if ret != retOK {
		c.events.remove(e)
		return nil, c.refusedEvents(name, ret)
	}
	return e, nil
}

func (c *Context) refusedEvents(name string, ret Code) error {
	if ret == ErrInvalidContext {
		ret = ErrClosed
	}
	return &Error{Op: "events", What: c.module + "." + name, Code: ret}
}

// Close ends the subscription and closes C; what waits in it can still be taken.
func (e *Events) Close() {
	C.bg_unlisten(e.context.bits, e.listener)
	e.context.events.remove(e)
	e.end(nil)
}

// Dropped counts the events that found the channel full.
func (e *Events) Dropped() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
}

// Err says why C was closed: ErrOverflow, the worker's death, or nil when somebody closed subscription or context.
func (e *Events) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *Events) end(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return
	}
	e.ended = true
	e.err = err
	close(e.c)
}

// put is the reaper's. False: the subscription ends here.
func (e *Events) put(payload []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return true
	}
	for {
		select {
		case e.c <- payload:
			return true
		default:
		}
		e.dropped++
		switch e.overflow {
		case DropNewest:
			return true
		case EndOnOverflow:
			return false
		}
		select {
		case <-e.c:
		default:
		}
	}
}

// subscriptions are those of one context, by ticket. Tickets are never used again: an event may still come after its
// listener has gone.
type subscriptions struct {
	mu   sync.Mutex
	all  map[uint64]*Events
	last uint64
	over bool
}

func (s *subscriptions) add(e *Events) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	if s.all == nil {
		s.all = make(map[uint64]*Events)
	}
	s.last++
	e.ticket = s.last
	s.all[e.ticket] = e
	return true
}

func (s *subscriptions) remove(e *Events) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, e.ticket)
}

func (s *subscriptions) deliver(ticket uint64, payload []byte) {
	s.mu.Lock()
	e := s.all[ticket]
	s.mu.Unlock()
	if e == nil || e.put(append(make([]byte, 0, len(payload)), payload...)) {
		return
	}
	c := e.context
	c.client.log.warn("berth: the receiver did not keep up with the events", "module", c.module, "event", e.name)
	e.end(ErrOverflow)
	s.remove(e)
	C.bg_unlisten(c.bits, e.listener)
}

// end is that of the context.
func (s *subscriptions) end(err error) {
	s.mu.Lock()
	all := s.all
	s.all = nil
	s.over = true
	s.mu.Unlock()
	for _, e := range all {
		e.end(err)
	}
}
