package berth

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"bytes"
	"context"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Context is one instance of a module's library, in a worker process of its own. Its methods may be called by any number
// of goroutines; requests reach the module in the order in which they were accepted.
type Context struct {
	bits   C.uint64_t
	client *Client
	module string

	methods   atomic.Value // map[string]*method, replaced whole
	methodsMu sync.Mutex

	flights flights
	events  subscriptions
	reaper  reaper

	closeOnce sync.Once
	closed    chan struct{} // the close is over, outcome and closeErr are there
	outcome   Outcome
	closeErr  error
}

// method is what is known of a method of the module.
type method struct {
	id  C.uint32_t
	hot hot
}

// Open leases a worker and has the module create an instance from config: any value that CBOR can hold, Raw for bytes
// that are encoded already, nil for none. When ctx ends first, what was begun is undone in the background.
func (c *Client) Open(ctx context.Context, module string, config any, opts ...OpenOption) (*Context, error) {
	var o openOptions
	for _, opt := range opts {
		opt(&o)
	}
	if deadline := timeoutOf(ctx); deadline >= 0 {
		o.timeoutMS = uint32(deadline) + 1
	}
	var buffer bytes.Buffer
	payload, err := encode(&buffer, config)
	if err != nil {
		return nil, &Error{Op: "open", What: module, Code: ErrInvalidArgument, Text: err.Error()}
	}
	if err := ctx.Err(); err != nil {
		return nil, fromContext("open", module, err)
	}
	if err := c.enter("open", module); err != nil {
		return nil, err
	}
	x := &Context{client: c, module: module, closed: make(chan struct{})}
	x.methods.Store(map[string]*method{})
	told, err := x.submitOpen(payload, o)
	if err != nil {
		c.leave()
		return nil, err
	}
	return x.awaitOpen(ctx, told)
}

func (c *Context) submitOpen(config []byte, o openOptions) (*verdict, error) {
	told, err := newVerdict()
	if err != nil {
		return nil, &Error{Op: "open", What: c.module, Code: ErrExhausted, Text: err.Error()}
	}
	name := C.CString(c.module)
	defer C.free(unsafe.Pointer(name))
	ret := Code(C.bg_open(c.client.bits, name, bytesPointer(config), C.size_t(len(config)), C.uint32_t(o.maxInFlight),
		C.uint32_t(o.staleWarnMS), C.uint32_t(o.timeoutMS), told.c, &c.bits))
	if ret != retOK {
		told.release()
		return nil, &Error{Op: "open", What: c.module, Code: ret}
	}
	return told, nil
}

// awaitOpen has the client's leave to give.
func (c *Context) awaitOpen(ctx context.Context, told *verdict) (*Context, error) {
	opened := make(chan error, 1)
	go func() {
		code, payload := told.wait()
		if code != retOK {
			opened <- failure("open", c.module, code, payload)
			return
		}
		opened <- nil
	}()
	select {
	case err := <-opened:
		if err == nil {
			err = c.begin()
		}
		c.client.leave()
		if err != nil {
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		go func() {
			defer c.client.leave()
			if ended, err := newVerdict(); err == nil {
				ended.closing(c.bits)
			}
			<-opened
		}()
		return nil, fromContext("open", c.module, ctx.Err())
	}
}

// begin makes an opened context usable, and known to its client; or closes it.
func (c *Context) begin() error {
	err := c.reaper.start(c)
	if err != nil {
		if ended, err := newVerdict(); err == nil {
			ended.closing(c.bits)
		}
		return err
	}
	c.client.mu.Lock()
	c.client.contexts[c] = struct{}{}
	closing := c.client.closing
	c.client.mu.Unlock()
	c.client.log.debug("berth: opened", "module", c.module)
	if closing {
		c.startClose()
		<-c.closed
		return &Error{Op: "open", What: c.module, Code: ErrClosed, Text: "the client is closed"}
	}
	return nil
}

// Module is the module's name.
func (c *Context) Module() string { return c.module }

func (c *Context) lookup(name string) (*method, error) {
	if m := c.methods.Load().(map[string]*method)[name]; m != nil {
		return m, nil
	}
	return c.learn(name)
}

func (c *Context) learn(name string) (*method, error) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	m := &method{}
	if ret := Code(C.bg_method(c.bits, text, &m.id)); ret != retOK {
		return nil, c.refusedMethod(name, ret)
	}
	c.methodsMu.Lock()
	defer c.methodsMu.Unlock()
	known := c.methods.Load().(map[string]*method)
	if have := known[name]; have != nil {
		return have, nil
	}
	more := make(map[string]*method, len(known)+1)
	for k, v := range known {
		more[k] = v
	}
	more[name] = m
	c.methods.Store(more)
	return m, nil
}

func (c *Context) refusedMethod(name string, ret Code) error {
	e := &Error{Op: "call", What: c.module + "." + name, Code: ret}
	switch ret {
	case ErrInvalidArgument:
		e.Text = "the module has no such method"
	case ErrInvalidContext:
		e.Code, e.Text = ErrClosed, "the context is closed"
	}
	return e
}

func newFile(fd C.int, name string) *os.File { return os.NewFile(uintptr(fd), name) }
