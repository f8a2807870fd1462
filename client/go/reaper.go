package berth

// #include "bridge.h"
import "C"

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// reaper takes a context's completions out of berth. Its goroutine waits in Go's poller, on a descriptor of its own for
// the one that berth_poll_fd gives, and so holds no thread. Goroutines that wait for answers which come fast look for
// them themselves, and take along those of others; while they look, the descriptor is left alone.
//
// Who stops looking and who begins to wait each say so (lookers, waiters) before they look at the other's word, so one
// of them sees that the descriptor has to be armed.
type reaper struct {
	file *os.File
	raw  syscall.RawConn
	done chan struct{}

	mu    sync.Mutex // of what is below, and of taking
	batch *C.struct_bg_item
	ended int // the negative code of the context's end, when another goroutine than the reaper's came upon it

	quiet   atomic.Bool  // the last to take was a look: the descriptor tells of nothing
	lookers atomic.Int32 // goroutines that look
	waiters atomic.Int32 // goroutines that wait to be told
}

// How often a goroutine looks in vain before it waits to be told: for an answer that should come fast, and for any.
const (
	mostLooks = 32
	someLooks = 8
)

func (r *reaper) start(c *Context) error {
	fd := C.bg_poll_fd(c.bits)
	if fd < 0 {
		return &Error{Op: "open", What: c.module, Code: Code(-fd)}
	}
	r.file = newFile(fd, "berth completions")
	raw, err := r.file.SyscallConn()
	r.batch = C.bg_batch_new()
	if err != nil || r.batch == nil {
		r.file.Close()
		return &Error{Op: "open", What: c.module, Code: ErrExhausted, Text: "no memory or no poller"}
	}
	r.raw = raw
	r.done = make(chan struct{})
	go r.run(c)
	return nil
}

// stop is for a context that is over.
func (r *reaper) stop() {
	timer := time.AfterFunc(5*time.Second, func() { r.file.Close() })
	<-r.done
	timer.Stop()
	r.file.Close()
	r.mu.Lock()
	C.bg_batch_free(r.batch)
	r.batch = nil
	r.mu.Unlock()
}

func (r *reaper) run(c *Context) {
	defer close(r.done)
	n := 0
	for n >= 0 {
		err := r.raw.Read(func(uintptr) bool {
			r.mu.Lock()
			n = r.take(c)
			r.mu.Unlock()
			return n != 0
		})
		if err != nil {
			n = r.endedElsewhere()
		}
	}
	c.events.end(c.endedBy(Code(-n)))
}

func (r *reaper) endedElsewhere() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != 0 {
		return r.ended
	}
	return -int(ErrClosed)
}

// take takes and delivers what is there, and arms the descriptor: how many, or a negative code when the context is
// over.
func (r *reaper) take(c *Context) int {
	if r.batch == nil {
		return 0
	}
	r.quiet.Store(false)
	n := int(C.bg_reap(c.bits, r.batch, 0))
	if n > 0 {
		r.deliver(c, unsafe.Slice(r.batch, n))
	}
	return n
}

// arm has answers wake the reaper's goroutine again.
func (r *reaper) arm(c *Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.quiet.Load() {
		return
	}
	if n := r.take(c); n < 0 {
		r.ended = n
		r.file.SetReadDeadline(time.Unix(1, 0)) // the goroutine is to know
	}
}

// look takes and delivers what is there, unless another goroutine is at it.
func (r *reaper) look(c *Context) {
	if !r.mu.TryLock() {
		return
	}
	if r.batch != nil {
		r.quiet.Store(true)
		if n := int(C.bg_reap(c.bits, r.batch, 1)); n > 0 {
			r.deliver(c, unsafe.Slice(r.batch, n))
		}
	}
	r.mu.Unlock()
}

// lookFor looks for a flight's answer while ctx lasts, and lets others run in between. False: it has not come.
func (r *reaper) lookFor(ctx context.Context, c *Context, f *flight, most int) bool {
	r.lookers.Add(1)
	there := false
	for looks := 0; looks < most && !there; looks++ {
		r.look(c)
		if there = f.answered(); !there {
			runtime.Gosched()
			there = f.answered()
		}
		select {
		case <-ctx.Done():
			looks = most
		default:
		}
	}
	if r.lookers.Add(-1) == 0 && r.waiters.Load() > 0 && r.quiet.Load() {
		r.arm(c)
	}
	return there
}

// waitFor waits for a flight's answer. When ctx ends the request is cancelled, and the answer to that is waited for: it
// comes at once, or the module's own was faster.
func (r *reaper) waitFor(ctx context.Context, c *Context, f *flight) {
	r.waiters.Add(1)
	defer r.waiters.Add(-1)
	if r.lookers.Load() == 0 && r.quiet.Load() {
		r.arm(c)
	}
	if ctx.Done() == nil {
		<-f.done
		return
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		C.bg_cancel(c.bits, f.sent.answer.id)
		<-f.done
	}
}

func (r *reaper) deliver(c *Context, items []C.struct_bg_item) {
	var table []*flight
	for i := range items {
		item := &items[i]
		payload := cBytes(item.data, item.len)
		switch item.kind {
		case C.BERTH_REPLY:
			if item.ticket >= C.uint64_t(len(table)) {
				table = c.flights.all()
			}
			f := table[item.ticket]
			f.code = Code(item.ret)
			f.reply = append(grow(f.reply, len(payload)), payload...)
			f.done <- struct{}{}
		case C.BERTH_EVENT:
			c.events.deliver(uint64(item.ticket), payload)
		case C.BERTH_DATA: // not the answer; nobody here has a place for it
		case C.BERTH_PROGRESS:
			c.client.log.warn("berth: a request takes long", "module", c.module, "request", fmt.Sprint(uint64(item.id)),
				"ms", string(payload))
		}
	}
}

// endedBy makes the error that ends the context's subscriptions, and logs a death.
func (c *Context) endedBy(code Code) error {
	if code == ErrClosed || code == ErrRecycled || code == ErrInvalidContext {
		return nil
	}
	// A refused call has the whole verdict.
	var answer C.struct_bg_answer
	code = Code(C.bg_call(c.bits, 0, nil, 0, 0, 0, nil, 0, &answer))
	err := failure("events", c.module, code, takeBlock(nil, &answer))
	if err.died != nil {
		c.client.log.warn("berth: "+err.died.Error()[len("berth: "):], "module", c.module, "pid", err.died.PID,
			"signal", int(err.died.Signal), "uses", err.died.Uses, "log", strings.TrimSpace(err.died.Log))
	}
	return err
}
