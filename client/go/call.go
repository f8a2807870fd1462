package berth

// #include "bridge.h"
import "C"

import (
	"context"
)

// sent is what the C side says of a request, and a small answer's bytes.
type sent struct {
	answer C.struct_bg_answer
	room   [roomForSmall]byte
}

const roomForSmall = 512

// Call calls a method: req is encoded as CBOR, and the reply is decoded into what resp points at. req may be Raw or nil
// (no payload at all), resp *Raw or nil (the reply is dropped). When ctx ends first, the module is told to cancel, and
// the error is ErrTimeout or ErrCancelled, which are context.DeadlineExceeded and context.Canceled also. Data that the
// module sends before its reply is passed over, as it comes: the module does not wait for anybody to read it.
func (c *Context) Call(ctx context.Context, method string, req, resp any) error {
	s := scratches.Get().(*scratch)
	request, err := encode(&s.request, req)
	if err != nil {
		return c.unencodable(method, err)
	}
	reply, err := c.CallAppend(ctx, s.reply, method, request)
	if err == nil {
		s.reply = reply
		err = decodeReply("call", c.module+"."+method, reply, resp)
	}
	s.release()
	return err
}

func (c *Context) unencodable(method string, err error) error {
	return &Error{Op: "call", What: c.module + "." + method, Code: ErrInvalidArgument, Text: err.Error()}
}

func decodeReply(op, what string, reply []byte, resp any) error {
	if resp == nil {
		return nil
	}
	if err := Unmarshal(reply, resp); err != nil {
		return &Error{Op: op, What: what, Code: ErrProtocol, Text: "the reply: " + err.Error()}
	}
	return nil
}

// CallRaw is Call with payloads as bytes. The reply is the caller's.
func (c *Context) CallRaw(ctx context.Context, method string, req []byte) ([]byte, error) {
	return c.CallAppend(ctx, nil, method, req)
}

// CallAppend appends the reply to dst, whose room a reply that fits goes to without another copy, and returns the longer
// slice. dst and what lies behind its length are the call's until it returns.
func (c *Context) CallAppend(ctx context.Context, dst []byte, method string, req []byte) ([]byte, error) {
	m, err := c.lookup(method)
	if err != nil {
		return dst, err
	}
	if ctx.Done() != nil && ctx.Err() != nil {
		return dst, fromContext("call", c.module+"."+method, ctx.Err())
	}
	f := c.flights.take()
	quick, wait := m.hot.quick(), uint32(0)
	if quick && f.alone {
		wait = hotWaitUS
	}
	code := c.send(f, m, wait, dst, req)
	if wait != 0 {
		m.hot.learn(code != retStaleWarn)
	}
	if code == retStaleWarn {
		code = c.await(ctx, f, m, quick && wait == 0)
	}
	return c.finish(ctx, f, method, code, dst)
}

// send sends the request and, with wait, waits for its answer in C. retStaleWarn: the reaper will have it.
func (c *Context) send(f *flight, m *method, wait uint32, dst, req []byte) Code {
	room := f.sent.room[:]
	if cap(dst)-len(dst) >= roomForSmall {
		room = dst[len(dst):cap(dst)]
	}
	f.reply = dst
	code := Code(C.bg_call(c.bits, m.id, bytesPointer(req), C.size_t(len(req)), C.uint32_t(wait), C.uint64_t(f.ticket),
		bytesPointer(room), C.size_t(len(room)), &f.sent.answer))
	if code == retStaleWarn {
		return code
	}
	f.code = code
	n := int(f.sent.answer.len)
	switch {
	case f.sent.answer.block != 0:
		f.reply = takeBlock(dst, &f.sent.answer)
	case &room[0] != &f.sent.room[0]:
		f.reply = dst[:len(dst)+n]
	default:
		f.reply = append(grow(dst, n), room[:n]...)
	}
	return code
}

// await has the answer of a request that was sent. quick: it should come fast, which is to be learned from.
func (c *Context) await(ctx context.Context, f *flight, m *method, quick bool) Code {
	looks := someLooks
	if quick {
		looks = mostLooks
	}
	there := c.reaper.lookFor(ctx, c, f, looks)
	if quick {
		m.hot.learn(there)
	}
	if !there {
		c.reaper.waitFor(ctx, c, f)
	}
	return f.code
}

func (c *Context) finish(ctx context.Context, f *flight, method string, code Code, dst []byte) ([]byte, error) {
	reply := f.reply
	c.flights.give(f)
	if code == retOK {
		return reply, nil
	}
	return dst, c.callFailure(ctx, method, code, reply[len(dst):])
}

func (c *Context) callFailure(ctx context.Context, method string, code Code, payload []byte) error {
	what := c.module + "." + method
	if code == ErrCancelled && ctx.Err() != nil {
		return fromContext("call", what, ctx.Err())
	}
	if code == ErrInvalidContext {
		code, payload = ErrClosed, []byte("the context is closed")
	}
	return failure("call", what, code, payload)
}

// Future is a call that is under way.
type Future struct {
	done  chan struct{}
	reply []byte
	err   error
}

// Done is closed when the call is over.
func (f *Future) Done() <-chan struct{} { return f.done }

// Err waits for the end of the call and says how it went.
func (f *Future) Err() error {
	<-f.done
	return f.err
}

// Reply waits for the end of the call and gives the reply's bytes.
func (f *Future) Reply() ([]byte, error) {
	<-f.done
	return f.reply, f.err
}

// Go is Call without waiting: the request is on its way when it returns, so requests keep the order of their Go. resp is
// written before the future is done.
func (c *Context) Go(ctx context.Context, method string, req, resp any) *Future {
	future := &Future{done: make(chan struct{})}
	request, err := Marshal(req)
	if err != nil {
		return future.failed(c.unencodable(method, err))
	}
	m, err := c.lookup(method)
	if err != nil {
		return future.failed(err)
	}
	if err := ctx.Err(); err != nil {
		return future.failed(fromContext("call", c.module+"."+method, err))
	}
	f := c.flights.take()
	code := c.send(f, m, 0, nil, request)
	go func() {
		defer close(future.done)
		if code == retStaleWarn {
			code = c.await(ctx, f, m, m.hot.quick())
		}
		future.reply, future.err = c.finish(ctx, f, method, code, nil)
		if future.err == nil {
			future.err = decodeReply("call", c.module+"."+method, future.reply, resp)
		}
	}()
	return future
}

func (f *Future) failed(err error) *Future {
	f.err = err
	close(f.done)
	return f
}
