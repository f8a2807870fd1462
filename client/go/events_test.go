package berth_test

import (
	"context"
	"errors"
	"testing"

	berth "github.com/berth-project/berth/client/go"
)

func emit(t testing.TB, c *berth.Context, count, size int) {
	t.Helper()
	var sent struct {
		Sent int `cbor:"sent"`
	}
	if err := c.Call(background(t), "emit", map[string]any{"count": count, "bytes": size}, &sent); err != nil || sent.Sent != count {
		t.Fatalf("%d sent, %v", sent.Sent, err)
	}
}

func listen(t testing.TB, c *berth.Context, size int, overflow berth.Overflow) *berth.Events {
	t.Helper()
	events, err := c.Events("tick", size, overflow)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

func next(t testing.TB, events *berth.Events) int {
	t.Helper()
	select {
	case payload, open := <-events.C:
		if !open || len(payload) < 4 {
			t.Fatalf("%v %v", payload, open)
		}
		return int(payload[0]) | int(payload[1])<<8
	case <-background(t).Done():
		t.Fatal("no event")
	}
	return 0
}

func TestEventsComeInOrder(t *testing.T) {
	c := echo(t)
	first, second := listen(t, c, 500, berth.EndOnOverflow), listen(t, c, 500, berth.EndOnOverflow)
	emit(t, c, 500, 100)
	for _, events := range []*berth.Events{first, second} {
		for i := 0; i < 500; i++ {
			if n := next(t, events); n != i {
				t.Fatalf("%d came for %d", n, i)
			}
		}
	}
	first.Close()
	emit(t, c, 1, 4)
	next(t, second)
	if _, open := <-first.C; open || first.Err() != nil {
		t.Fatalf("open %v, %v", open, first.Err())
	}
	first.Close()
}

func TestOverflowRules(t *testing.T) {
	c := echo(t)
	newest, oldest := listen(t, c, 2, berth.DropNewest), listen(t, c, 2, berth.DropOldest)
	ended := listen(t, c, 2, berth.EndOnOverflow)
	emit(t, c, 10, 4)
	eventually(t, "eight are dropped", func() bool { return newest.Dropped() == 8 && oldest.Dropped() == 8 })
	if a, b := next(t, newest), next(t, newest); a != 0 || b != 1 {
		t.Errorf("DropNewest kept %d and %d", a, b)
	}
	if a, b := next(t, oldest), next(t, oldest); a != 8 || b != 9 {
		t.Errorf("DropOldest kept %d and %d", a, b)
	}
	next(t, ended)
	next(t, ended)
	if _, open := <-ended.C; open || !errors.Is(ended.Err(), berth.ErrOverflow) {
		t.Errorf("EndOnOverflow: open %v, %v", open, ended.Err())
	}
	for _, wrong := range []int{0, -1} {
		if _, err := c.Events("tick", wrong, berth.DropNewest); !errors.Is(err, berth.ErrInvalidArgument) {
			t.Errorf("size %d: %v", wrong, err)
		}
	}
	if _, err := c.Events("", 1, berth.DropNewest); !errors.Is(err, berth.ErrInvalidArgument) {
		t.Errorf("no name: %v", err)
	}
}

func TestTheEndOfAContextEndsItsEvents(t *testing.T) {
	client := dial(t)
	closed, lost := open(t, client, "echo", nil), open(t, client, "echo", nil)
	quiet, died := listen(t, closed, 1, berth.DropNewest), listen(t, lost, 1, berth.DropNewest)
	if _, err := closed.Close(background(t)); err != nil {
		t.Fatal(err)
	}
	if _, open := <-quiet.C; open || quiet.Err() != nil {
		t.Errorf("closed: open %v, %v", open, quiet.Err())
	}
	lost.Call(context.Background(), "die", map[string]any{"how": "abort"}, nil)
	if _, open := <-died.C; open || !errors.Is(died.Err(), berth.ErrWorkerDied) {
		t.Errorf("died: open %v, %v", open, died.Err())
	}
	for _, c := range []*berth.Context{closed, lost} {
		if _, err := c.Events("tick", 1, berth.DropNewest); err == nil {
			t.Error("a context that is over has events")
		}
	}
}
