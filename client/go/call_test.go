package berth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	berth "github.com/berth-project/berth/client/go"
)

func later(ms int, data string) map[string]any { return map[string]any{"ms": ms, "data": []byte(data)} }

func TestCallRawEchoesEverySize(t *testing.T) {
	c := echo(t)
	for _, size := range []int{0, 1, 64, 300, 304, 305, 512, 513, 4096, 65536, 1 << 20, 16 << 20} {
		request := bytes.Repeat([]byte{byte(size), 'x'}, size/2+1)[:size]
		reply, err := c.CallRaw(background(t), "echo", request)
		if err != nil || !bytes.Equal(reply, request) {
			t.Fatalf("%d bytes: %d came back, %v", size, len(reply), err)
		}
	}
	if _, err := c.CallRaw(background(t), "echo", make([]byte, 16<<20+1)); !errors.Is(err, berth.ErrTooLarge) {
		t.Fatalf("over 16 MiB: %v", err)
	}
}

func TestCallAppendKeepsWhatIsThere(t *testing.T) {
	c := echo(t)
	for _, room := range []int{0, 10, 600, 70000} {
		for _, size := range []int{0, 5, 400, 60000} {
			dst := append(make([]byte, 0, 4+room), "head"...)
			request := bytes.Repeat([]byte("r"), size)
			reply, err := c.CallAppend(background(t), dst, "echo", request)
			if err != nil || !bytes.Equal(reply, append([]byte("head"), request...)) {
				t.Fatalf("room %d, size %d: %d bytes, %v", room, size, len(reply), err)
			}
			if room >= 600 && size <= room && size > 0 && &reply[0] != &dst[0] {
				t.Errorf("room %d, size %d: moved although it fits", room, size)
			}
		}
	}
}

func TestCallEncodesAndDecodes(t *testing.T) {
	c := open(t, dial(t), "sqlite", nil)
	var result struct {
		Columns []string `cbor:"columns"`
		Rows    [][]any  `cbor:"rows"`
	}
	request := map[string]any{"sql": "SELECT ? AS a, ? AS b, NULL AS c", "params": []any{41, "text"}}
	if err := c.Call(background(t), "query", request, &result); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(result.Columns, result.Rows) != "[a b c] [[41 text <nil>]]" {
		t.Fatalf("%v", result)
	}
	var raw berth.Raw
	if err := c.Call(background(t), "query", request, &raw); err != nil || len(raw) == 0 {
		t.Fatalf("%v %v", raw, err)
	}
	if err := c.Call(background(t), "query", request, nil); err != nil {
		t.Fatal(err)
	}
	var wrong struct {
		Columns int `cbor:"columns"`
	}
	if err := c.Call(background(t), "query", request, &wrong); !errors.Is(err, berth.ErrProtocol) {
		t.Fatalf("a reply that does not fit: %v", err)
	}
	if err := c.Call(background(t), "query", make(chan int), nil); !errors.Is(err, berth.ErrInvalidArgument) {
		t.Fatalf("a request that cannot be encoded: %v", err)
	}
}

func TestTheModulesErrorsHaveItsText(t *testing.T) {
	c := echo(t)
	err := c.Call(background(t), "fail", map[string]any{"text": "no more cheese"}, nil)
	var e *berth.Error
	if !errors.Is(err, berth.ErrModule) || !errors.As(err, &e) || e.Text != "no more cheese" || e.What != "echo.fail" {
		t.Fatalf("%v", err)
	}
	if _, err := c.CallRaw(background(t), "no such", nil); !errors.Is(err, berth.ErrInvalidArgument) {
		t.Fatalf("%v", err)
	}
}

func TestADeadlineReachesTheModule(t *testing.T) {
	c := echo(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	err := c.Call(ctx, "block", map[string]any{"ms": 600000}, nil)
	var timeout interface{ Timeout() bool }
	if !errors.Is(err, berth.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("%v", err)
	}
	// The library would be busy for ten minutes had it not been told.
	if _, err := c.CallRaw(background(t), "echo", []byte("free")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CallRaw(ctx, "echo", nil); !errors.Is(err, berth.ErrTimeout) {
		t.Fatalf("a deadline in the past: %v", err)
	}
}

func TestACancellationReachesTheModule(t *testing.T) {
	c := echo(t)
	ctx, cancel := context.WithCancel(context.Background())
	future := c.Go(ctx, "block", map[string]any{"ms": 600000}, nil)
	second := make(chan error)
	go func() { second <- c.Call(ctx, "later", later(600000, "x"), nil) }()
	cancel()
	for _, err := range []error{future.Err(), <-second} {
		if !errors.Is(err, berth.ErrCancelled) || !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
	}
	if _, err := c.CallRaw(background(t), "echo", []byte("free")); err != nil {
		t.Fatal(err)
	}
}

func TestManyGoroutinesGetTheirOwnAnswers(t *testing.T) {
	c := echo(t)
	var group sync.WaitGroup
	for g := 0; g < 64; g++ {
		group.Add(1)
		go func(g int) {
			defer group.Done()
			for i := 0; i < 200; i++ {
				request := []byte(fmt.Sprintf("%d/%d%s", g, i, bytes.Repeat([]byte("."), i*7%900)))
				reply, err := c.CallRaw(context.Background(), "echo", request)
				if err != nil || !bytes.Equal(reply, request) {
					t.Errorf("%q came back for %q, %v", reply, request, err)
					return
				}
			}
		}(g)
	}
	group.Wait()
}

func TestWaitingCallsHoldNoThread(t *testing.T) {
	const waiting = 500
	c := echo(t)
	if _, err := c.CallRaw(background(t), "echo", nil); err != nil {
		t.Fatal(err)
	}
	before := threads(t)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for i := 0; i < waiting; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := c.Call(ctx, "later", later(600000, ""), nil); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		}()
	}
	var answered sync.WaitGroup
	for i := 0; i < 100; i++ { // also while quick calls go on beside them
		answered.Add(1)
		go func() {
			defer answered.Done()
			if _, err := c.CallRaw(ctx, "echo", nil); err != nil {
				t.Error(err)
			}
		}()
	}
	answered.Wait()
	if now := threads(t); now > before+waiting/4 { // each would be one, and some are on their way into a call
		t.Errorf("%d threads with %d calls waiting, %d before", now, waiting, before)
	}
	cancel()
	group.Wait()
}

func TestFutures(t *testing.T) {
	c := echo(t)
	var raw berth.Raw
	slow := c.Go(background(t), "later", later(50, "late"), &raw)
	quick := c.Go(background(t), "echo", berth.Raw("quick"), nil)
	if reply, err := quick.Reply(); err != nil || string(reply) != "quick" {
		t.Fatalf("%q, %v", reply, err)
	}
	select {
	case <-slow.Done():
	case <-background(t).Done():
		t.Fatal("never done")
	}
	if slow.Err() != nil || string(raw) != "late" {
		t.Fatalf("%q, %v", raw, slow.Err())
	}
	if err := c.Go(background(t), "fail", map[string]any{"text": "no"}, nil).Err(); !errors.Is(err, berth.ErrModule) {
		t.Fatal(err)
	}
	if err := c.Go(background(t), "nothing", nil, nil).Err(); !errors.Is(err, berth.ErrInvalidArgument) {
		t.Fatal(err)
	}
}

func TestFuturesKeepTheirOrder(t *testing.T) {
	c := open(t, dial(t), "sqlite", nil)
	if err := c.Call(background(t), "exec", map[string]any{"sql": "CREATE TABLE t (n INTEGER PRIMARY KEY, v INT)"}, nil); err != nil {
		t.Fatal(err)
	}
	var futures []*berth.Future
	for i := 0; i < 300; i++ {
		futures = append(futures, c.Go(background(t), "exec", map[string]any{"sql": "INSERT INTO t (v) VALUES (?)", "params": []any{i}}, nil))
	}
	for _, future := range futures {
		if err := future.Err(); err != nil {
			t.Fatal(err)
		}
	}
	var result struct {
		Rows [][]int `cbor:"rows"`
	}
	if err := c.Call(background(t), "query", map[string]any{"sql": "SELECT count(*) FROM t WHERE v = n - 1"}, &result); err != nil {
		t.Fatal(err)
	}
	if result.Rows[0][0] != 300 {
		t.Fatalf("%d of 300 in order", result.Rows[0][0])
	}
}

func TestTooManyInFlightAreBusy(t *testing.T) {
	c := echo(t, berth.WithMaxInFlight(2))
	ctx, cancel := context.WithCancel(context.Background())
	first, second := c.Go(ctx, "later", later(600000, ""), nil), c.Go(ctx, "later", later(600000, ""), nil)
	if _, err := c.CallRaw(background(t), "echo", nil); !errors.Is(err, berth.ErrBusy) {
		t.Fatalf("%v", err)
	}
	cancel()
	first.Err()
	second.Err()
	eventually(t, "a call is accepted again", func() bool {
		_, err := c.CallRaw(background(t), "echo", nil)
		return err == nil
	})
}

func TestAHotCallAllocatesItsReplyOnly(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := echo(t)
	request, room := make([]byte, 64), make([]byte, 0, 1024)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	per := func(call func()) float64 { return testing.AllocsPerRun(2000, call) }
	raw := per(func() { must(c.CallRaw(ctx, "echo", request)) })
	appended := per(func() { must(c.CallAppend(ctx, room, "echo", request)) })
	if raw > 1 || appended > 0 {
		t.Fatalf("%v allocations in a CallRaw, %v in a CallAppend", raw, appended)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// What a module sends on its way is not its answer. There is more of it than may be unread: the module waits for good
// where nobody takes it.
func TestDataOnTheWayIsNotTheAnswer(t *testing.T) {
	c := echo(t)
	ctx := background(t)
	stream := func(count, bytes int) map[string]any { return map[string]any{"count": count, "bytes": bytes} }
	var futures []*berth.Future
	counts := make([]int, 8)
	for i := range counts {
		futures = append(futures, c.Go(ctx, "stream", stream(40+i, 65536*(i%2)), &counts[i]))
	}
	for round := 0; round < 50; round++ {
		var count int
		if err := c.Call(ctx, "stream", stream(round, 8), &count); err != nil || count != round {
			t.Fatalf("%d, %v", count, err)
		}
		if reply, err := c.CallRaw(ctx, "echo", []byte("meanwhile")); err != nil || string(reply) != "meanwhile" {
			t.Fatalf("%q, %v", reply, err)
		}
	}
	for i, future := range futures {
		if err := future.Err(); err != nil || counts[i] != 40+i {
			t.Errorf("%d, %v", counts[i], err)
		}
	}
}
