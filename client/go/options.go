package berth

// #include "bridge.h"
import "C"

import "time"

// Option is for Dial.
type Option func(*options)

type options struct {
	flags     uint32
	socket    string
	owner     uint32
	moduleDir string
	log       logger
}

// WithSocket names the service's socket, instead of $BERTH_SOCKET and the usual places.
func WithSocket(path string) Option { return func(o *options) { o.socket = path } }

// WithSocketOwner trusts that user's socket, too, where it is named (WithSocket, $BERTH_SOCKET): else it must belong to
// root or to this process's effective user, and so must who listens there.
func WithSocketOwner(uid uint32) Option { return func(o *options) { o.owner = uid } }

// WithModuleDir names the folders of manifests for a private supervisor, a colon between.
func WithModuleDir(path string) Option { return func(o *options) { o.moduleDir = path } }

// WithPrivate starts a supervisor of one's own, also where a service runs. It ends with the Client.
func WithPrivate() Option { return func(o *options) { o.flags |= C.BERTH_PRIVATE } }

// WithoutPrivate never starts a supervisor: without a service Dial fails with ErrUnavailable.
func WithoutPrivate() Option { return func(o *options) { o.flags |= C.BERTH_NO_PRIVATE } }

// OpenOption is for Client.Open.
type OpenOption func(*openOptions)

type openOptions struct {
	maxInFlight uint32
	staleWarnMS uint32
	timeoutMS   uint32
}

// WithMaxInFlight bounds the requests accepted and not yet answered (1 to 65536; 1024 by default). More are ErrBusy.
func WithMaxInFlight(n int) OpenOption {
	return func(o *openOptions) { o.maxInFlight = uint32(n) }
}

// WithSlowWarning is after how long a request in flight is logged as slow, again and again; 0 is never, the default is
// five seconds.
func WithSlowWarning(d time.Duration) OpenOption {
	return func(o *openOptions) {
		o.staleWarnMS = ^uint32(0)
		if d > 0 {
			o.staleWarnMS = milliseconds32(d)
		}
	}
}

func milliseconds32(d time.Duration) uint32 {
	ms := (d + time.Millisecond - 1) / time.Millisecond
	if ms >= 1<<31 {
		ms = 1<<31 - 1
	}
	return uint32(ms)
}
