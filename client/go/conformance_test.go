package berth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	berth "github.com/berth-project/berth/client/go"
)

// The table that every language's binding has to pass: tests/conformance/table.md says what its rows mean.
const tableFolder = "../../tests/conformance"

type tableRow struct {
	Name    string           `json:"name"`
	Module  string           `json:"module"`
	Steps   []map[string]any `json:"steps"`
	FailsAt *int             `json:"fails_at"`
}

func readTable(t *testing.T, name string) []tableRow {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tableFolder, name))
	if os.IsNotExist(err) {
		t.Skip("not in a checkout that has the table")
	}
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Format int        `json:"format"`
		Rows   []tableRow `json:"rows"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&table); err != nil || table.Format != 1 || len(table.Rows) == 0 {
		t.Fatalf("%s: format %d, %d rows, %v", name, table.Format, len(table.Rows), err)
	}
	return table.Rows
}

func TestConformanceTable(t *testing.T) {
	rows := readTable(t, "table.json")
	client := dial(t)
	ok := 0
	for _, row := range rows {
		if at, err := runRow(client, row); err != nil {
			t.Errorf("FAILED %s: step %d (%v): %v", row.Name, at, row.Steps[at]["do"], err)
			continue
		}
		t.Logf("ok %s", row.Name)
		ok++
	}
	t.Logf("table: %d rows, %d ok, %d failed", len(rows), ok, len(rows)-ok)
}

func TestTheTablesRunnerFindsWhatIsWrong(t *testing.T) {
	rows := readTable(t, "table_wrong.json")
	client := dial(t)
	for _, row := range rows {
		at, err := runRow(client, row)
		switch {
		case row.FailsAt == nil:
			t.Errorf("%s: no fails_at", row.Name)
		case err == nil:
			t.Errorf("%s: passed", row.Name)
		case at != *row.FailsAt:
			t.Errorf("%s: failed at step %d, not %d: %v", row.Name, at, *row.FailsAt, err)
		}
	}
	t.Logf("table: %d rows that must fail", len(rows))
}

// player is what a row has open.
type player struct {
	client   *berth.Client
	module   string
	contexts map[string]*berth.Context
	futures  map[string]*berth.Future
	cancels  map[string]context.CancelFunc
	events   map[string]*berth.Events
}

// runRow gives the step that failed, and why.
func runRow(client *berth.Client, row tableRow) (int, error) {
	p := &player{client: client, module: row.Module, contexts: map[string]*berth.Context{},
		futures: map[string]*berth.Future{}, cancels: map[string]context.CancelFunc{}, events: map[string]*berth.Events{}}
	defer p.end()
	for i, step := range row.Steps {
		s := &tableStep{left: map[string]any{}}
		for k, v := range step {
			s.left[k] = v
		}
		if err := p.play(s); err != nil {
			return i, err
		}
	}
	return 0, nil
}

func (p *player) end() {
	for _, c := range p.contexts {
		c.Close(context.Background())
	}
	for _, cancel := range p.cancels {
		cancel()
	}
}

func (p *player) play(s *tableStep) error {
	do := s.text("do", "")
	steps := map[string]func(*tableStep) error{"open": p.open, "call": p.call, "submit": p.submit, "wait": p.wait,
		"cancel": p.cancel, "listen": p.listen, "events": p.take, "unlisten": p.unlisten, "static": p.static, "close": p.close}
	run := steps[do]
	if run == nil {
		return fmt.Errorf("an operation that is not known: %q", do)
	}
	return run(s)
}

func (p *player) context(s *tableStep) (*berth.Context, error) {
	name := s.text("on", "")
	c := p.contexts[name]
	if c == nil {
		return nil, fmt.Errorf("no context %q", name)
	}
	return c, nil
}

func (p *player) open(s *tableStep) error {
	as, module, input := s.text("as", ""), s.text("module", p.module), s.input()
	var opts []berth.OpenOption
	if most := s.number("max_in_flight", 0); most != 0 {
		opts = append(opts, berth.WithMaxInFlight(most))
	}
	expect := s.expect()
	if err := s.finish(); err != nil {
		return err
	}
	ctx, cancel := within(time.Minute)
	defer cancel()
	c, err := p.client.Open(ctx, module, berth.Raw(input), opts...)
	if err == nil {
		p.contexts[as] = c
	}
	return expect.check(nil, err)
}

func (p *player) call(s *tableStep) error {
	c, err := p.context(s)
	if err != nil {
		return err
	}
	method, input, ms, expect := s.text("method", ""), s.input(), s.number("timeout_ms", 60000), s.expect()
	if err := s.finish(); err != nil {
		return err
	}
	ctx, cancel := within(time.Duration(ms) * time.Millisecond)
	defer cancel()
	return expect.check(c.CallRaw(ctx, method, input))
}

func (p *player) static(s *tableStep) error {
	module, method, input := s.text("module", p.module), s.text("method", ""), s.input()
	ms, expect := s.number("timeout_ms", 60000), s.expect()
	if err := s.finish(); err != nil {
		return err
	}
	ctx, cancel := within(time.Duration(ms) * time.Millisecond)
	defer cancel()
	return expect.check(p.client.CallStaticRaw(ctx, module, method, input))
}

func (p *player) submit(s *tableStep) error {
	c, err := p.context(s)
	if err != nil {
		return err
	}
	id, method, input := s.text("id", ""), s.text("method", ""), s.input()
	if err := s.finish(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancels[id] = cancel
	p.futures[id] = c.Go(ctx, method, berth.Raw(input), nil)
	return nil
}

func (p *player) future(s *tableStep) (string, *berth.Future, error) {
	id := s.text("id", "")
	future := p.futures[id]
	if future == nil {
		return id, nil, fmt.Errorf("no request %q", id)
	}
	return id, future, nil
}

func (p *player) wait(s *tableStep) error {
	id, future, err := p.future(s)
	expect := s.expect()
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return err
	}
	delete(p.futures, id)
	select {
	case <-future.Done():
		return expect.check(future.Reply())
	case <-time.After(time.Minute):
		return errors.New("no answer")
	}
}

func (p *player) cancel(s *tableStep) error {
	id, _, err := p.future(s)
	if err == nil {
		err = s.finish()
	}
	if err == nil {
		p.cancels[id]()
	}
	return err
}

func (p *player) listen(s *tableStep) error {
	on := s.peek("on")
	c, err := p.context(s)
	if err != nil {
		return err
	}
	event := s.text("event", "")
	if err := s.finish(); err != nil {
		return err
	}
	events, err := c.Events(event, 4096, berth.EndOnOverflow)
	if err == nil {
		p.events[on+"/"+event] = events
	}
	return err
}

func (p *player) listener(s *tableStep) (string, *berth.Events, error) {
	key := s.peek("on") + "/" + s.peek("event")
	s.text("on", "")
	s.text("event", "")
	events := p.events[key]
	if events == nil {
		return key, nil, fmt.Errorf("nobody listens for %q", key)
	}
	return key, events, nil
}

func (p *player) unlisten(s *tableStep) error {
	key, events, err := p.listener(s)
	if err == nil {
		err = s.finish()
	}
	if err == nil {
		events.Close()
		delete(p.events, key)
	}
	return err
}

func (p *player) take(s *tableStep) error {
	_, events, err := p.listener(s)
	if err != nil {
		return err
	}
	count := s.number("count", 0)
	expects := s.expectEach(count)
	if err := s.finish(); err != nil {
		return err
	}
	timeout := time.After(time.Minute)
	for i := 0; i < count; i++ {
		select {
		case payload, open := <-events.C:
			if !open {
				return fmt.Errorf("the events ended: %v", events.Err())
			}
			if err := expects[i].checkEvent(payload, i); err != nil {
				return fmt.Errorf("event %d: %w", i, err)
			}
		case <-timeout:
			return fmt.Errorf("%d of %d events", i, count)
		}
	}
	return nil
}

func (p *player) close(s *tableStep) error {
	name := s.peek("on")
	c, err := p.context(s)
	if err != nil {
		return err
	}
	expect, _ := s.take("expect").(map[string]any)
	if err := s.finish(); err != nil {
		return err
	}
	delete(p.contexts, name)
	ctx, cancel := within(time.Minute)
	defer cancel()
	outcome, err := c.Close(ctx)
	if err != nil {
		return err
	}
	for key, want := range expect {
		got, known := map[string]string{"outcome": outcome.How, "cut_off": fmt.Sprint(outcome.CutOff)}[key]
		if !known || got != fmt.Sprint(want) {
			return fmt.Errorf("%s: %q, not %v", key, got, want)
		}
	}
	return nil
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
