// Httpsql answers SQL over HTTP from a pool of SQLite contexts, each in a process of its own.
//
//	httpsql [-listen :8080] [-database FILE] [-contexts 4]
//	curl --data-binary 'SELECT 1' http://localhost:8080/query
//
// A query that takes SQLite down costs one request a 502, and the pool gets another context. On SIGINT or SIGTERM the
// requests under way have their answers first.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	berth "github.com/berth-project/berth/client/go"
)

const shutdownWithin = 20 * time.Second

func main() {
	address := flag.String("listen", ":8080", "address")
	database := flag.String("database", "", "file; none: a database in memory for each context")
	contexts := flag.Int("contexts", 4, "how many databases are open")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", *address)
	if err == nil {
		err = serve(ctx, listener, *database, *contexts)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve runs until ctx ends, and then until everything under way is done.
func serve(ctx context.Context, listener net.Listener, database string, contexts int) error {
	client, err := berth.Dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	databases, err := newPool(ctx, client, database, contexts)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/query", queries{databases})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), shutdownWithin)
	defer cancel()
	err = server.Shutdown(last)
	if closed := databases.close(last); err == nil {
		err = closed
	}
	if served := <-failed; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}
