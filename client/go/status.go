package berth

// #include "bridge.h"
import "C"

import "context"

// Status is what the supervisor knows. It is not bound to this host's own contexts.
type Status struct {
	Daemon   DaemonStatus    `cbor:"daemon"`
	Modules  []ModuleStatus  `cbor:"modules"`
	Workers  []WorkerStatus  `cbor:"workers"`
	Contexts []ContextStatus `cbor:"contexts"`
}

// DaemonStatus is about the supervisor itself.
type DaemonStatus struct {
	PID      int    `cbor:"pid"`
	Version  string `cbor:"version"`
	UptimeMS int64  `cbor:"uptime_ms"`
	Socket   string `cbor:"socket"`
	Private  bool   `cbor:"private"`
	RSSBytes int64  `cbor:"rss_bytes"`
}

// ModuleStatus is about a manifest. A broken one has Name, File and Error.
type ModuleStatus struct {
	Name        string   `cbor:"name"`
	Library     string   `cbor:"library"`
	Description string   `cbor:"description"`
	File        string   `cbor:"file"`
	Methods     []string `cbor:"methods"`
	Spares      int      `cbor:"spares"`
	MaxContexts int      `cbor:"max_contexts"`
	Recycle     string   `cbor:"recycle"`
	Contexts    int      `cbor:"contexts"`
	Workers     int      `cbor:"workers"`
	Version     string   `cbor:"version"`
	Error       string   `cbor:"error"`
}

// WorkerStatus is about a worker process.
type WorkerStatus struct {
	PID      int    `cbor:"pid"`
	Module   string `cbor:"module"`
	State    string `cbor:"state"`
	SinceMS  int64  `cbor:"since_ms"`
	Uses     int    `cbor:"uses"`
	RSSBytes int64  `cbor:"rss_bytes"`
	UID      int    `cbor:"uid"`
}

// ContextStatus is about a context of any host's.
type ContextStatus struct {
	ID        uint64 `cbor:"id"`
	Module    string `cbor:"module"`
	WorkerPID int    `cbor:"worker_pid"`
	HostPID   int    `cbor:"host_pid"`
	State     string `cbor:"state"`
	SinceMS   int64  `cbor:"since_ms"`
}

// Status asks the supervisor. It holds a thread while it waits, ten seconds at most.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	payload, err := c.block(ctx, "status", "", func(_ C.int, answer *C.struct_bg_answer) C.int {
		return C.bg_status(c.bits, answer)
	})
	if err != nil {
		return nil, err
	}
	status := new(Status)
	if err := decodeReply("status", "", payload, status); err != nil {
		return nil, err
	}
	return status, nil
}
