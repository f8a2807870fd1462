package berth

import "context"

// How a close went.
const (
	Drained   = "drained"   // everything was answered
	Cancelled = "cancelled" // something had to be cut off
	Killed    = "killed"    // the worker was killed, or had died
)

// Outcome says how a close went.
type Outcome struct {
	How    string `cbor:"outcome"` // Drained, Cancelled or Killed
	CutOff int    `cbor:"cut_off"` // requests that got ErrRecycled
}

// Close ends the context: it takes no more requests, those in flight have the module's drain timeout to end, are then
// cancelled, and at last cut off; the instance is destroyed. A second Close waits for the first and gives the same.
// When ctx ends first Close returns, and the close goes on by itself, within the bounds of the module's timeouts.
func (c *Context) Close(ctx context.Context) (Outcome, error) {
	c.startClose()
	select {
	case <-c.closed:
		return c.outcome, c.closeErr
	case <-ctx.Done():
		return Outcome{}, fromContext("close", c.module, ctx.Err())
	}
}

// startClose may be called with the client's lock held.
func (c *Context) startClose() {
	c.closeOnce.Do(func() {
		c.client.working.Add(1) // the caller holds the lock, or its context is in the client's list until finishClose
		go c.finishClose()
	})
}

func (c *Context) finishClose() {
	defer close(c.closed)
	defer c.client.leave()
	c.outcome, c.closeErr = c.closeAndWait()
	c.reaper.stop()
	c.client.forget(c)
	if c.closeErr == nil {
		c.client.log.debug("berth: closed", "module", c.module, "outcome", c.outcome.How, "cut_off", c.outcome.CutOff)
	}
}

func (c *Context) closeAndWait() (Outcome, error) {
	told, err := newVerdict()
	if err != nil {
		return Outcome{}, &Error{Op: "close", What: c.module, Code: ErrExhausted, Text: err.Error()}
	}
	code, payload := told.closing(c.bits)
	if code != retOK {
		return Outcome{}, failure("close", c.module, code, payload)
	}
	var outcome Outcome
	if err := Unmarshal(payload, &outcome); err != nil {
		return Outcome{}, &Error{Op: "close", What: c.module, Code: ErrProtocol, Text: err.Error()}
	}
	return outcome, nil
}
