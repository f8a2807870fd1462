package berth

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"sync"
	"unsafe"
)

// Client is a connection to a supervisor. Its methods may be called by any number of goroutines.
type Client struct {
	bits C.uint64_t
	log  logger

	mu       sync.Mutex
	closing  bool
	contexts map[*Context]struct{}
	working  sync.WaitGroup // C functions under way that need the handle

	blocking chan struct{} // one for each goroutine that may hold a thread in a C function
	closed   chan struct{}
	closeErr error
}

// blockingAtMost bounds the threads that Status and CallStatic hold together.
const blockingAtMost = 8

// Dial connects to the service; when none answers, it starts a private supervisor, which ends with the Client. When ctx
// ends first the attempt is given up (it ends by itself, ten seconds at most). The text of an error names path and cause.
func Dial(ctx context.Context, opts ...Option) (*Client, error) {
	o := options{log: silent{}}
	for _, opt := range opts {
		opt(&o)
	}
	if err := ctx.Err(); err != nil {
		return nil, fromContext("dial", o.socket, err)
	}
	type result struct {
		client *Client
		err    error
	}
	done := make(chan result, 1)
	go func() {
		client, err := connect(o)
		done <- result{client, err}
	}()
	select {
	case r := <-done:
		return r.client, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.client != nil {
				r.client.Close()
			}
		}()
		return nil, fromContext("dial", o.socket, ctx.Err())
	}
}

func connect(o options) (*Client, error) {
	c := &Client{
		log:      o.log,
		contexts: make(map[*Context]struct{}),
		blocking: make(chan struct{}, blockingAtMost),
		closed:   make(chan struct{}),
	}
	socket, freeSocket := cStringOrNil(o.socket)
	defer freeSocket()
	moduleDir, freeModuleDir := cStringOrNil(o.moduleDir)
	defer freeModuleDir()
	var answer C.struct_bg_answer
	ret := Code(C.bg_connect(C.uint32_t(o.flags), socket, C.uint32_t(o.owner), moduleDir, &c.bits, &answer))
	if why := takeBlock(nil, &answer); ret != retOK {
		return nil, failure("dial", o.socket, ret, why)
	}
	return c, nil
}

// Close closes every context, all at once, and lets the connection go; a private supervisor and its workers have ended
// when it returns. Calls that are under way get ErrRecycled, later ones ErrClosed. Bounded by the close of a context.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		<-c.closed
		return nil
	}
	c.closing = true
	for context := range c.contexts {
		context.startClose()
	}
	c.mu.Unlock()
	defer close(c.closed)
	c.working.Wait()
	if ret := Code(C.bg_disconnect(c.bits)); ret != retOK {
		return &Error{Op: "close", Code: ret}
	}
	return nil
}

// enter keeps the handle valid until leave.
func (c *Client) enter(op, what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return &Error{Op: op, What: what, Code: ErrClosed, Text: "the client is closed"}
	}
	c.working.Add(1)
	return nil
}

func (c *Client) leave() { c.working.Done() }

func (c *Client) forget(context *Context) {
	c.mu.Lock()
	delete(c.contexts, context)
	c.mu.Unlock()
}

// CallStatic calls a context-free method of a module, in a worker leased for this one call. req and resp are as in
// Context.Call. It holds a thread while it waits; of such calls eight wait at a time, further ones for their turn.
func (c *Client) CallStatic(ctx context.Context, module, method string, req, resp any) error {
	what := module + "." + method
	s := scratches.Get().(*scratch)
	request, err := encode(&s.request, req)
	if err != nil {
		return &Error{Op: "call", What: what, Code: ErrInvalidArgument, Text: err.Error()}
	}
	reply, err := c.CallStaticRaw(ctx, module, method, request)
	s.release()
	if err != nil {
		return err
	}
	return decodeReply("call", what, reply, resp)
}

// CallStaticRaw is CallStatic with payloads as bytes.
func (c *Client) CallStaticRaw(ctx context.Context, module, method string, req []byte) ([]byte, error) {
	request := append([]byte(nil), req...) // ctx may end before the call does
	return c.block(ctx, "call", module+"."+method, func(timeout C.int, answer *C.struct_bg_answer) C.int {
		cModule, cMethod := C.CString(module), C.CString(method)
		defer C.free(unsafe.Pointer(cModule))
		defer C.free(unsafe.Pointer(cMethod))
		return C.bg_call_static(c.bits, cModule, cMethod, bytesPointer(request), C.size_t(len(request)), timeout, answer)
	})
}

// block runs a C function that waits, on a goroutine of its own, so that the caller is free when ctx ends.
func (c *Client) block(ctx context.Context, op, what string, run func(C.int, *C.struct_bg_answer) C.int) ([]byte, error) {
	select {
	case c.blocking <- struct{}{}:
	case <-ctx.Done():
		return nil, fromContext(op, what, ctx.Err())
	}
	if err := c.enter(op, what); err != nil {
		<-c.blocking
		return nil, err
	}
	type result struct {
		payload []byte
		err     error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-c.blocking }()
		defer c.leave()
		var answer C.struct_bg_answer
		ret := Code(run(timeoutOf(ctx), &answer))
		payload := takeBlock(nil, &answer)
		if ret != retOK {
			done <- result{nil, failure(op, what, ret, payload)}
			return
		}
		done <- result{payload, nil}
	}()
	select {
	case r := <-done:
		return r.payload, r.err
	case <-ctx.Done():
		return nil, fromContext(op, what, ctx.Err())
	}
}
