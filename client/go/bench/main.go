// Bench says what a call costs from Go: berth's beside a plain cgo call, an echo over a unix socket and one by
// hashicorp/go-plugin over gRPC, all in one run, in alternating rounds. Figures, no verdict.
//
//	bench [-quick] [-json]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"time"
)

const payloadSize = 64

var concurrencies = []int{1, 8, 64}

type plan struct {
	rounds   int
	latency  time.Duration // of one row, in each round
	rate     time.Duration // of one row and concurrency, in each round
	pause    time.Duration
	paced    int // calls after a pause, in each round
	allocate int // calls over which allocations are counted
}

var (
	thorough = plan{5, 300 * time.Millisecond, 300 * time.Millisecond, 1500 * time.Microsecond, 150, 5000}
	quick    = plan{2, 60 * time.Millisecond, 80 * time.Millisecond, 1500 * time.Microsecond, 30, 500}
)

// subject is something that can be called. newCaller gives what one goroutine uses.
type subject struct {
	name       string
	newCaller  func() (call func(payload []byte) error, err error)
	concurrent bool // rates are measured
	pausing    bool // so is the latency after a pause
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == servePlugin {
		pluginMain()
		return
	}
	if len(os.Args) > 2 && os.Args[1] == serveSocket {
		socketMain(os.Args[2])
		return
	}
	short := flag.Bool("quick", false, "a few seconds")
	asJSON := flag.Bool("json", false, "for programs")
	flag.Parse()
	p := thorough
	if *short {
		p = quick
	}
	if err := run(p, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(p plan, asJSON bool) error {
	began := time.Now()
	subjects, stop, err := start()
	defer stop()
	if err != nil {
		return err
	}
	results := make([]*result, len(subjects))
	for i, s := range subjects {
		results[i] = newResult(s.name)
		if results[i].AllocsPerCall, err = allocations(s, p.allocate); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for round := 0; round < p.rounds; round++ {
		for i, s := range subjects {
			if err := results[i].measure(s, p); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	for _, r := range results {
		r.conclude()
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(map[string]any{"rows": results, "elapsed_s": time.Since(began).Seconds()})
	}
	print(results, time.Since(began))
	return nil
}

func start() (subjects []subject, stop func(), err error) {
	var stops []func()
	stop = func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	}
	for _, begin := range []func() ([]subject, func(), error){plainSubjects, berthSubjects, socketSubjects, pluginSubjects} {
		more, end, err := begin()
		if err != nil {
			return nil, stop, err
		}
		subjects = append(subjects, more...)
		stops = append(stops, end)
	}
	return subjects, stop, nil
}

// self starts this program again in another part.
func self(args ...string) *exec.Cmd {
	path, err := os.Executable()
	if err != nil {
		path = os.Args[0]
	}
	return exec.Command(path, args...)
}
