package berth

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// Code is one of berth's results. Codes are errors themselves, for errors.Is.
type Code int32

// The codes, as in berth.h. ErrTimeout also is context.DeadlineExceeded, ErrCancelled also context.Canceled.
const (
	ErrModule          Code = 1 // the library said no; the text is the library's
	ErrTimeout         Code = 4
	ErrClosed          Code = 5
	ErrInvalidContext  Code = 6
	ErrBusy            Code = 7 // too many requests in flight
	ErrQueueFull       Code = 8
	ErrTooLarge        Code = 9
	ErrWorkerDied      Code = 10 // errors.As with *WorkerDiedError says more
	ErrRecycled        Code = 11 // rejected or cut off, because the context is being closed
	ErrUnavailable     Code = 12
	ErrDenied          Code = 13
	ErrProtocol        Code = 14
	ErrForked          Code = 15 // in a child of the process that dialed, which may dial for itself
	ErrNoModule        Code = 16
	ErrCancelled       Code = 17
	ErrExhausted       Code = 18
	ErrInvalidArgument Code = 19
)

const (
	retOK        Code = 0
	retStaleWarn Code = 3
)

// ErrOverflow ends a subscription that was made with EndOnOverflow.
var ErrOverflow = errors.New("berth: the receiver did not keep up with the events")

func (c Code) Error() string { return "berth: " + retName(c) }

// Is makes timeouts and cancels what package context calls them.
func (c Code) Is(target error) bool {
	return c == ErrTimeout && target == context.DeadlineExceeded || c == ErrCancelled && target == context.Canceled
}

// Error is what every function here returns: what was asked for, the code, and why.
type Error struct {
	Op   string // "open", "call" …
	What string // module, or module and method: "sqlite.query"
	Code Code
	Text string // why, in words; the module's own for ErrModule
	died *WorkerDiedError
}

func (e *Error) Error() string {
	text := "berth: " + e.Op
	if e.What != "" {
		text += " " + e.What
	}
	text += ": " + retName(e.Code)
	if e.Text != "" {
		text += ": " + e.Text
	}
	return text
}

// Unwrap gives the *WorkerDiedError, or the Code.
func (e *Error) Unwrap() error {
	if e.died != nil {
		return e.died
	}
	return e.Code
}

// Timeout tells net.Error's users.
func (e *Error) Timeout() bool { return e.Code == ErrTimeout }

// WorkerDiedError says how a worker ended. The context is lost: close it, and open another.
type WorkerDiedError struct {
	Signal syscall.Signal // 0: it exited
	Status int            // the exit status; -1: by a signal, or nobody was left to tell
	PID    int
	Uses   int    // contexts that it had served, this one included; 0: unknown
	Log    string // the last lines that it wrote, 20 at most
}

func (e *WorkerDiedError) Error() string { return "berth: worker " + e.how() }

func (e *WorkerDiedError) how() string {
	switch {
	case e.Signal != 0:
		return fmt.Sprintf("%d died of signal %d (%s)", e.PID, int(e.Signal), e.Signal)
	case e.Status >= 0:
		return fmt.Sprintf("%d exited with status %d", e.PID, e.Status)
	default:
		return fmt.Sprintf("%d died", e.PID)
	}
}

// Is makes it ErrWorkerDied.
func (e *WorkerDiedError) Is(target error) bool { return target == ErrWorkerDied }

// parseWorkerDied reads the payload of WORKER_DIED. One that cannot be read is a death of which nothing is known.
func parseWorkerDied(payload []byte) *WorkerDiedError {
	var report struct {
		Signal  uint8  `cbor:"signal"`
		Status  *uint8 `cbor:"status"`
		PID     int32  `cbor:"pid"`
		Uses    uint32 `cbor:"uses"`
		LastLog string `cbor:"last_log"`
	}
	died := &WorkerDiedError{Status: -1}
	if Unmarshal(payload, &report) != nil {
		return died
	}
	died.Signal, died.PID, died.Uses, died.Log = syscall.Signal(report.Signal), int(report.PID), int(report.Uses), report.LastLog
	if report.Status != nil && report.Signal == 0 {
		died.Status = int(*report.Status)
	}
	return died
}

// failure makes the error of an answer that is not OK.
func failure(op, what string, code Code, payload []byte) *Error {
	if code == ErrWorkerDied && len(payload) > 0 {
		died := parseWorkerDied(payload)
		return &Error{Op: op, What: what, Code: code, Text: died.how(), died: died}
	}
	return &Error{Op: op, What: what, Code: code, Text: string(payload)}
}

// fromContext makes the error of a context.Context that ended first.
func fromContext(op, what string, err error) *Error {
	code := ErrCancelled
	if errors.Is(err, context.DeadlineExceeded) {
		code = ErrTimeout
	}
	return &Error{Op: op, What: what, Code: code, Text: err.Error()}
}
