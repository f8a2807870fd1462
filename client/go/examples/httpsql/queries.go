package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	berth "github.com/berth-project/berth/client/go"
)

const largestQuery = 1 << 20

// queries runs the SQL of a request's body; a client that goes away cancels it.
type queries struct{ databases *pool }

type result struct {
	Columns []string `cbor:"columns" json:"columns"`
	Rows    [][]any  `cbor:"rows" json:"rows"`
	Changes int64    `cbor:"changes" json:"changes"`
}

func (q queries) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Error(w, "POST a query", http.StatusMethodNotAllowed)
		return
	}
	sql, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largestQuery))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var found result
	err = q.databases.with(r.Context(), func(c *berth.Context) error {
		return c.Call(r.Context(), "query", map[string]any{"sql": string(sql)}, &found)
	})
	if err != nil {
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(found)
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, berth.ErrModule):
		return http.StatusBadRequest
	case errors.Is(err, berth.ErrWorkerDied):
		return http.StatusBadGateway
	case errors.Is(err, berth.ErrTimeout):
		return http.StatusGatewayTimeout
	default:
		return http.StatusServiceUnavailable
	}
}
