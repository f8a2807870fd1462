package berth_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	berth "github.com/berth-project/berth/client/go"
)

// patience is how long a test waits for what must come. It decides nothing but when to give up.
const patience = 2 * time.Minute

func background(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// dial connects to a private supervisor, and checks at the end of the test that nothing is left: no goroutine, no
// descriptor, no process.
func dial(t testing.TB, opts ...berth.Option) *berth.Client {
	t.Helper()
	before := holdingsNow()
	client, err := berth.Dial(background(t), append([]berth.Option{berth.WithPrivate()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	var processes []int
	t.Cleanup(func() {
		if status, err := client.Status(context.Background()); err == nil {
			processes = processesOf(status)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		checkNothingLeft(t, before, processes)
	})
	return client
}

func open(t testing.TB, client *berth.Client, module string, config any, opts ...berth.OpenOption) *berth.Context {
	t.Helper()
	c, err := client.Open(background(t), module, config, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func echo(t testing.TB, opts ...berth.OpenOption) *berth.Context {
	t.Helper()
	return open(t, dial(t), "echo", nil, opts...)
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// --- what a process holds -------------------------------------------------------------------------------------------

type holdings struct {
	goroutines int
	fds        map[string]string
}

func holdingsNow() holdings {
	h := holdings{goroutines: runtime.NumGoroutine(), fds: map[string]string{}}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if target, err := os.Readlink(filepath.Join("/proc/self/fd", entry.Name())); err == nil {
			h.fds[entry.Name()] = target
		}
	}
	return h
}

// left lists what `now` has more than before. Go's own poller opens descriptors once and keeps them.
func left(before, now holdings) []string {
	var found []string
	for fd, target := range now.fds {
		if _, had := before.fds[fd]; !had && !strings.Contains(target, "/proc/") && !pollers[fd+target] {
			found = append(found, "descriptor "+fd+" on "+target)
		}
	}
	if now.goroutines > before.goroutines {
		found = append(found, strconv.Itoa(now.goroutines-before.goroutines)+" goroutines")
	}
	return found
}

// pollers are the descriptors of Go's poller, started by the first use of a pipe.
var pollers = func() map[string]bool {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	r.Close()
	w.Close()
	own := map[string]bool{}
	for fd, target := range holdingsNow().fds {
		own[fd+target] = true
	}
	return own
}()

func checkNothingLeft(t testing.TB, before holdings, processes []int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		found := left(before, holdingsNow())
		for _, pid := range processes {
			if alive(pid) {
				found = append(found, "process "+strconv.Itoa(pid))
			}
		}
		if len(found) == 0 {
			return
		}
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			t.Errorf("left behind: %s\n%s", strings.Join(found, ", "), stacks[:runtime.Stack(stacks, true)])
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func processesOf(status *berth.Status) []int {
	pids := []int{status.Daemon.PID}
	for _, worker := range status.Workers {
		pids = append(pids, worker.PID)
	}
	return pids
}

// alive: one that has ended and that its parent, init for a supervisor, has not looked at yet is not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return fields[0] != "Z" && fields[0] != "X"
}

// workerOf is the process of the only context there is.
func workerOf(t testing.TB, client *berth.Client) int {
	t.Helper()
	status, err := client.Status(background(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(status.Contexts) != 1 || status.Contexts[0].WorkerPID <= 1 {
		t.Fatalf("contexts: %+v", status.Contexts)
	}
	return status.Contexts[0].WorkerPID
}

func kill(t testing.TB, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("process %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func threads(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
