package berth_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"

	berth "github.com/berth-project/berth/client/go"
)

// tableStep is a step whose keys are taken one by one; what is left in the end is not known.
type tableStep struct {
	left map[string]any
	err  error
}

func (s *tableStep) wrong(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

func (s *tableStep) take(key string) any {
	value := s.left[key]
	delete(s.left, key)
	return value
}

func (s *tableStep) peek(key string) string {
	text, _ := s.left[key].(string)
	return text
}

func (s *tableStep) text(key, otherwise string) string {
	if _, has := s.left[key]; !has {
		return otherwise
	}
	text, ok := s.take(key).(string)
	if !ok {
		s.wrong("%s is no text", key)
	}
	return text
}

func (s *tableStep) number(key string, otherwise int) int {
	if _, has := s.left[key]; !has {
		return otherwise
	}
	number, _ := s.take(key).(json.Number)
	n, err := number.Int64()
	if err != nil {
		s.wrong("%s is no integer", key)
	}
	return int(n)
}

func (s *tableStep) input() []byte {
	if _, has := s.left["input"]; !has {
		return nil
	}
	form, _ := s.take("input").(map[string]any)
	payload, err := bytesOf(form)
	if err != nil {
		s.wrong("input: %w", err)
	}
	return payload
}

// finish tells what is wrong with the step itself.
func (s *tableStep) finish() error {
	for key := range s.left {
		s.wrong("a key that is not known: %q", key)
	}
	return s.err
}

// bytesOf makes the bytes of one of the four forms.
func bytesOf(form map[string]any) ([]byte, error) {
	keys := make([]string, 0, len(form))
	for key := range form {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	switch strings.Join(keys, " ") {
	case "cbor":
		return berth.Marshal(exact(form["cbor"]))
	case "text":
		return []byte(form["text"].(string)), nil
	case "hex":
		return hex.DecodeString(form["hex"].(string))
	case "count repeat":
		count, err := form["count"].(json.Number).Int64()
		return bytes.Repeat([]byte(form["repeat"].(string)), int(count)), err
	}
	return nil, fmt.Errorf("a form that is not known: %v", keys)
}

// exact makes JSON's numbers integers where they are.
func exact(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = exact(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key := range v {
			out[key] = exact(v[key])
		}
		return out
	}
	return value
}

// --- expectations ---------------------------------------------------------------------------------------------------

type expectation struct {
	code berth.Code // 0: OK
	ret  string
	form map[string]any
}

var codes = map[string]berth.Code{"OK": 0, "ERR": berth.ErrModule, "TIMEOUT": berth.ErrTimeout, "CLOSED": berth.ErrClosed,
	"INVALID_CTX": berth.ErrInvalidContext, "BUSY": berth.ErrBusy, "QUEUE_FULL": berth.ErrQueueFull,
	"TOO_LARGE": berth.ErrTooLarge, "WORKER_DIED": berth.ErrWorkerDied, "RECYCLED": berth.ErrRecycled,
	"UNAVAILABLE": berth.ErrUnavailable, "DENIED": berth.ErrDenied, "PROTOCOL": berth.ErrProtocol, "FORKED": berth.ErrForked,
	"NO_MODULE": berth.ErrNoModule, "CANCELLED": berth.ErrCancelled, "EXHAUSTED": berth.ErrExhausted,
	"INVALID_ARGUMENT": berth.ErrInvalidArgument}

func (s *tableStep) expect() expectation {
	form, _ := s.take("expect").(map[string]any)
	return s.expectation(form)
}

func (s *tableStep) expectation(form map[string]any) expectation {
	e := expectation{ret: "OK", form: map[string]any{}}
	for key, value := range form {
		switch key {
		case "ret":
			e.ret, _ = value.(string)
		case "cbor", "text", "hex", "repeat", "count", "contains", "numbered", "died":
			e.form[key] = value
		default:
			s.wrong("expect: a key that is not known: %q", key)
		}
	}
	code, known := codes[e.ret]
	if !known {
		s.wrong("expect: a ret that is not known: %q", e.ret)
	}
	e.code = code
	return e
}

func (s *tableStep) expectEach(count int) []expectation {
	var forms []any
	switch value := s.take("expect").(type) {
	case []any:
		forms = value
	default:
		for i := 0; i < count; i++ {
			forms = append(forms, value)
		}
	}
	if len(forms) != count {
		s.wrong("%d expectations for %d events", len(forms), count)
	}
	out := make([]expectation, 0, count)
	for _, form := range forms {
		m, _ := form.(map[string]any)
		out = append(out, s.expectation(m))
	}
	return out
}

func (e expectation) check(payload []byte, err error) error {
	var failed *berth.Error
	code := berth.Code(0)
	if err != nil {
		if !errors.As(err, &failed) {
			return err
		}
		code, payload = failed.Code, []byte(failed.Text)
	}
	if code != e.code {
		return fmt.Errorf("not %s: %v (%d bytes)", e.ret, err, len(payload))
	}
	if e.code == berth.ErrTimeout || e.code == berth.ErrCancelled {
		return nil
	}
	if died, has := e.form["died"]; has {
		return checkDied(err, died)
	}
	return e.checkPayload(payload)
}

func (e expectation) checkEvent(payload []byte, index int) error {
	if numbered, has := e.form["numbered"]; has {
		size, _ := numbered.(json.Number).Int64()
		want := make([]byte, size)
		want[0], want[1], want[2], want[3] = byte(index), byte(index>>8), byte(index>>16), byte(index>>24)
		return same(payload, want)
	}
	return e.checkPayload(payload)
}

func (e expectation) checkPayload(payload []byte) error {
	if len(e.form) == 0 {
		return nil
	}
	if contains, has := e.form["contains"]; has && len(e.form) == 1 {
		if !bytes.Contains(payload, []byte(contains.(string))) {
			return fmt.Errorf("%q is not in %.200q", contains, payload)
		}
		return nil
	}
	if want, has := e.form["cbor"]; has && len(e.form) == 1 {
		var value any
		if err := berth.Unmarshal(payload, &value); err != nil {
			return err
		}
		if !equal(value, exact(want)) {
			return fmt.Errorf("%v is not %v", value, want)
		}
		return nil
	}
	want, err := bytesOf(e.form)
	if err != nil {
		return err
	}
	return same(payload, want)
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes %.60q, not %d bytes %.60q", len(got), got, len(want), want)
	}
	return nil
}

func checkDied(err error, how any) error {
	var died *berth.WorkerDiedError
	if !errors.As(err, &died) || died.PID <= 0 {
		return fmt.Errorf("nothing is known of the death: %v", err)
	}
	got := map[string]string{}
	if died.Signal != 0 {
		got["signal"] = fmt.Sprint(int(died.Signal))
	}
	if died.Status >= 0 {
		got["status"] = fmt.Sprint(died.Status)
	}
	if fmt.Sprint(got) != fmt.Sprint(how) {
		return fmt.Errorf("%v is not %v", got, how)
	}
	return nil
}

// equal compares what was decoded with what exact made.
func equal(got, want any) bool {
	switch w := want.(type) {
	case int64:
		switch g := got.(type) {
		case uint64:
			return w >= 0 && g == uint64(w)
		case int64:
			return g == w
		}
		return false
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !equal(g[i], w[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		g, ok := got.(map[any]any)
		if !ok || len(g) != len(w) {
			return false
		}
		for key := range w {
			value, has := g[key]
			if !has || !equal(value, w[key]) {
				return false
			}
		}
		return true
	}
	if _, isBytes := got.([]byte); isBytes {
		return false
	}
	return got == want
}
