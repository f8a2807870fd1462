package berth_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	berth "github.com/berth-project/berth/client/go"
)

func TestOpenSaysWhyNot(t *testing.T) {
	client := dial(t)
	var e *berth.Error
	if _, err := client.Open(background(t), "no-such-module", nil); !errors.Is(err, berth.ErrNoModule) || !errors.As(err, &e) || !strings.Contains(e.Text, "echo") {
		t.Errorf("%v", err)
	}
	if _, err := client.Open(background(t), "echo", map[string]any{"fail": "not today"}); !errors.Is(err, berth.ErrModule) || !errors.As(err, &e) || e.Text != "not today" {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.Open(ended, "echo", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAnOpenThatIsGivenUpLeavesNothing(t *testing.T) {
	client := dial(t)
	for i := 0; i < 20; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*100*time.Microsecond)
		if c, err := client.Open(ctx, "echo", nil); err == nil {
			c.Close(background(t))
		} else if !errors.Is(err, berth.ErrTimeout) && !errors.Is(err, berth.ErrExhausted) { // the supervisor may say it first
			t.Errorf("%v", err)
		}
		cancel()
	}
	eventually(t, "no context is left", func() bool {
		status, err := client.Status(background(t))
		return err == nil && len(status.Contexts) == 0
	})
}

func TestDialWithoutASupervisor(t *testing.T) {
	missing := berth.WithSocket(t.TempDir() + "/nobody.sock")
	if _, err := berth.Dial(background(t), missing, berth.WithoutPrivate()); !errors.Is(err, berth.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := berth.Dial(ended, berth.WithPrivate()); !errors.Is(err, berth.ErrCancelled) {
		t.Errorf("%v", err)
	}
}

func TestCloseSaysHowItWent(t *testing.T) {
	client := dial(t)
	for how, prepare := range map[string]func(*berth.Context) *berth.Future{
		berth.Drained: func(c *berth.Context) *berth.Future { return c.Go(background(t), "later", later(20, "in time"), nil) },
		berth.Cancelled: func(c *berth.Context) *berth.Future {
			c.Go(background(t), "block", map[string]any{"ms": 600000}, nil)
			return c.Go(background(t), "echo", nil, nil)
		},
		berth.Killed: func(c *berth.Context) *berth.Future {
			future := c.Go(background(t), "die", map[string]any{"how": "exit"}, nil)
			future.Err()
			return future
		},
	} {
		c := open(t, client, "echo", nil)
		future := prepare(c)
		var group sync.WaitGroup
		for i := 0; i < 3; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				if outcome, err := c.Close(background(t)); err != nil || outcome.How != how {
					t.Errorf("%s: %+v, %v", how, outcome, err)
				}
			}()
		}
		group.Wait()
		if err := future.Err(); (err == nil) != (how == berth.Drained) || how == berth.Cancelled && !errors.Is(err, berth.ErrRecycled) {
			t.Errorf("%s: %v", how, err)
		}
		if _, err := c.CallRaw(background(t), "echo", nil); !errors.Is(err, berth.ErrClosed) {
			t.Errorf("a call after the close: %v", err)
		}
	}
}

func TestCloseGoesOnWhenItsContextEnds(t *testing.T) {
	c := echo(t)
	c.Go(background(t), "block", map[string]any{"ms": 600000}, nil)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Close(ended); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if outcome, err := c.Close(background(t)); err != nil || outcome.How != berth.Cancelled {
		t.Fatalf("%+v %v", outcome, err)
	}
}

func TestClosingTheClientEndsEverything(t *testing.T) {
	client := dial(t)
	var futures []*berth.Future
	for i := 0; i < 4; i++ {
		futures = append(futures, open(t, client, "echo", nil).Go(background(t), "later", later(600000, ""), nil))
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	for _, future := range futures {
		if future.Err() == nil {
			t.Error("answered")
		}
	}
	if _, err := client.Open(background(t), "echo", nil); !errors.Is(err, berth.ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := client.Status(background(t)); !errors.Is(err, berth.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestAWorkersDeathSaysHow(t *testing.T) {
	client := dial(t)
	for how, signal := range map[string]syscall.Signal{"segv": syscall.SIGSEGV, "abort": syscall.SIGABRT, "exit": 0} {
		c := open(t, client, "echo", nil)
		slow := c.Go(background(t), "later", later(600000, ""), nil)
		first := c.Call(background(t), "die", map[string]any{"how": how}, nil)
		for _, err := range []error{first, slow.Err(), c.Call(background(t), "echo", berth.Raw("x"), nil)} {
			var died *berth.WorkerDiedError
			if !errors.Is(err, berth.ErrWorkerDied) || !errors.As(err, &died) {
				t.Fatalf("%s: %v", how, err)
			}
			if died.Signal != signal || died.PID <= 1 || died.Uses < 1 || (died.Status == 3) != (how == "exit") {
				t.Errorf("%s: %+v", how, died)
			}
		}
	}
}

func TestAKillAnswersEverythingAndTheNextOpenWorks(t *testing.T) {
	client := dial(t)
	c := open(t, client, "echo", nil)
	var futures []*berth.Future
	for i := 0; i < 100; i++ {
		futures = append(futures, c.Go(background(t), "later", later(600000, ""), nil))
	}
	kill(t, workerOf(t, client))
	for _, future := range futures {
		var died *berth.WorkerDiedError
		if err := future.Err(); !errors.As(err, &died) || died.Signal != syscall.SIGKILL {
			t.Fatalf("%v", err)
		}
	}
	if _, err := open(t, client, "echo", nil).CallRaw(background(t), "echo", nil); err != nil {
		t.Fatal(err)
	}
}

func TestStaticCallsAndStatus(t *testing.T) {
	client := dial(t)
	var version string
	if err := client.CallStatic(background(t), "echo", "version", nil, &version); err != nil || !strings.HasPrefix(version, "berth-echo ") {
		t.Fatalf("%q, %v", version, err)
	}
	if _, err := client.CallStaticRaw(background(t), "echo", "echo", nil); !errors.Is(err, berth.ErrModule) {
		t.Errorf("a method that needs a context: %v", err)
	}
	open(t, client, "echo", nil)
	status, err := client.Status(background(t))
	if err != nil || !status.Daemon.Private || status.Daemon.Version != berth.Version() || len(status.Contexts) != 1 {
		t.Fatalf("%+v, %v", status, err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := client.CallStaticRaw(ended, "echo", "version", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// The first version of berth_poll_fd's wakeups lost one now and then, where single callers and crowds took turns.
func TestNoWakeupIsMissed(t *testing.T) {
	c := echo(t, berth.WithSlowWarning(0)) // a warning would wake the reaper
	ctx := background(t)
	for round := 0; round < 20; round++ {
		for _, goroutines := range []int{1, 8, 64} {
			var group sync.WaitGroup
			for g := 0; g < goroutines; g++ {
				group.Add(1)
				go func() {
					defer group.Done()
					for i := 0; i < 50; i++ {
						if _, err := c.CallRaw(ctx, "echo", []byte("x")); err != nil {
							t.Error(err)
							return
						}
					}
				}()
			}
			group.Wait()
		}
	}
}

// Slow calls wait to be told while quick ones look, which leaves the descriptor alone; the last to look has it armed.
func TestSlowAnswersAreToldWhenNobodyLooksAnyMore(t *testing.T) {
	c := echo(t, berth.WithSlowWarning(0))
	for round := 0; round < 100; round++ {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		var group sync.WaitGroup
		call := func(times int, method string, request any) {
			defer group.Done()
			for i := 0; i < times; i++ {
				if err := c.Call(ctx, method, request, nil); err != nil {
					t.Errorf("round %d, %s: %v", round, method, err)
					return
				}
			}
		}
		for i := 0; i < 4; i++ {
			group.Add(2)
			go call(1, "later", map[string]any{"ms": i + round%3, "data": []byte("x")})
			go call(round%10*i, "echo", nil)
		}
		group.Wait()
		cancel()
		if t.Failed() {
			return
		}
	}
}

func TestTheLeakCheckFindsWhatIsLeft(t *testing.T) {
	before := holdingsNow()
	stop := make(chan struct{})
	go func() { <-stop }()
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	found := strings.Join(left(before, holdingsNow()), ", ")
	close(stop)
	syscall.Close(pipe[0])
	syscall.Close(pipe[1])
	if strings.Count(found, "descriptor") != 2 || !strings.Contains(found, "1 goroutines") {
		t.Errorf("found: %s", found)
	}
	checkNothingLeft(t, before, nil)
}
