package berth

// #include "bridge.h"
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// reaper is the goroutine that takes a context's completions out of berth. It waits in Go's poller, on a descriptor of
// its own for the one that berth_poll_fd gives, and so holds no thread.
type reaper struct {
	file  *os.File
	raw   syscall.RawConn
	batch *C.struct_bg_item
	done  chan struct{}
}

// emptyLooks is how often the reaper looks in vain, letting other goroutines run in between, before it goes to the
// poller, while requests are in flight.
const emptyLooks = 8

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
	C.bg_batch_free(r.batch)
}

func (r *reaper) run(c *Context) {
	defer close(r.done)
	for {
		n := r.next(c)
		if n < 0 {
			c.events.end(c.endedBy(Code(-n)))
			return
		}
		r.deliver(c, unsafe.Slice(r.batch, n))
	}
}

// next takes the next batch: how many, or a negative code when the context is over.
func (r *reaper) next(c *Context) int {
	for looks := 0; looks < emptyLooks; looks++ {
		if n := int(C.bg_reap(c.bits, r.batch)); n != 0 {
			return n
		}
		if !c.flights.any() {
			break
		}
		runtime.Gosched()
	}
	n := 0
	err := r.raw.Read(func(uintptr) bool {
		n = int(C.bg_reap(c.bits, r.batch))
		return n != 0
	})
	if err != nil {
		return -int(ErrClosed)
	}
	return n
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
