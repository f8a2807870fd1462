package berth_test

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	berth "github.com/berth-project/berth/client/go"
)

// What Go's runtime does with signals it must go on doing, with contexts live and after a worker's crash.

// withACrashBehind has a live context, and one whose worker died.
func withACrashBehind(t testing.TB) *berth.Context {
	client := dial(t)
	lost := open(t, client, "echo", nil)
	if err := lost.Call(background(t), "die", map[string]any{"how": "segv"}, nil); err == nil {
		t.Fatal("no crash")
	}
	c := open(t, client, "echo", nil)
	if _, err := c.CallRaw(background(t), "echo", nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func dereferenceNil() (recovered any) {
	defer func() { recovered = recover() }()
	var nowhere *int
	*nowhere = 1
	return nil
}

func TestANilDereferenceIsAPanicThatRecovers(t *testing.T) {
	c := withACrashBehind(t)
	for i := 0; i < 100; i++ {
		err, ok := dereferenceNil().(runtime.Error)
		if !ok || !strings.Contains(err.Error(), "nil pointer dereference") {
			t.Fatalf("%v", err)
		}
	}
	if _, err := c.CallRaw(background(t), "echo", nil); err != nil {
		t.Fatal(err)
	}
}

// A loop without a call in it can be stopped by a signal only.
func TestATightLoopIsPreempted(t *testing.T) {
	c := withACrashBehind(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var stop, spins uint32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for atomic.LoadUint32(&stop) == 0 {
			spins++
		}
	}()
	for i := 0; i < 20; i++ { // each needs the one P that the loop is on
		if _, err := c.CallRaw(background(t), "echo", nil); err != nil {
			t.Fatal(err)
		}
	}
	runtime.Gosched()
	atomic.StoreUint32(&stop, 1)
	<-done
}

func TestSignalsReachTheHostsHandlers(t *testing.T) {
	c := withACrashBehind(t)
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, syscall.SIGUSR1)
	defer signal.Stop(arrived)
	for i := 0; i < 20; i++ {
		if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		select {
		case <-arrived:
		case <-background(t).Done():
			t.Fatal("no signal")
		}
		if _, err := c.CallRaw(background(t), "echo", nil); err != nil {
			t.Fatal(err)
		}
	}
}

const crashNow = "BERTH_TEST_CRASH_NOW"

// TestMain is the program that crashes, too.
func TestMain(m *testing.M) {
	if os.Getenv(crashNow) != "" {
		crash()
	}
	// The goroutine that os/signal starts once and keeps must not look like a test's.
	arrived := make(chan os.Signal, 1)
	signal.Notify(arrived, syscall.SIGUSR1)
	signal.Stop(arrived)
	os.Exit(m.Run())
}

func crash() {
	ctx := context.Background()
	client, err := berth.Dial(ctx, berth.WithPrivate())
	if err != nil {
		os.Exit(99)
	}
	lost, err := client.Open(ctx, "echo", nil)
	if err != nil || lost.Call(ctx, "die", map[string]any{"how": "abort"}, nil) == nil {
		os.Exit(98)
	}
	live, err := client.Open(ctx, "echo", nil)
	if err != nil {
		os.Exit(97)
	}
	if _, err := live.CallRaw(ctx, "echo", nil); err != nil {
		os.Exit(96)
	}
	var nowhere *int
	*nowhere = 1
}

// GOTRACEBACK=crash ends in SIGABRT after the stacks; without it in exit status 2.
func TestGotracebackDoesWhatItSays(t *testing.T) {
	for _, mode := range []string{"crash", "single"} {
		command := exec.Command(os.Args[0])
		command.Dir = t.TempDir()
		command.Env = append(os.Environ(), crashNow+"=1", "GOTRACEBACK="+mode)
		output, err := command.CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok {
			t.Fatalf("%v", err)
		}
		status := exit.Sys().(syscall.WaitStatus)
		aborted := status.Signaled() && status.Signal() == syscall.SIGABRT
		if mode == "crash" && !aborted || mode == "single" && status.ExitStatus() != 2 {
			t.Errorf("%s: %v\n%s", mode, err, output)
		}
		if text := string(output); !strings.Contains(text, "nil pointer dereference") || !strings.Contains(text, "goroutine 1 ") {
			t.Errorf("%s: %s", mode, text)
		}
	}
}
