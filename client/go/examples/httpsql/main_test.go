package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	berth "github.com/berth-project/berth/client/go"
)

const patience = 2 * time.Minute

type service struct {
	url  string
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, database string) *service {
	t.Helper()
	t.Setenv("BERTH_SOCKET", "")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{"http://" + listener.Addr().String() + "/query", cancel, make(chan error, 1)}
	go func() { s.done <- serve(ctx, listener, database, 2) }()
	t.Cleanup(cancel)
	return s
}

func (s *service) post(ctx context.Context, sql string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(sql))
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body)), err
}

func (s *service) ask(t *testing.T, sql string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status, body, err := s.post(ctx, sql)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

func (s *service) end(t *testing.T) {
	t.Helper()
	s.stop()
	http.DefaultClient.CloseIdleConnections()
	select {
	case err := <-s.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("never stopped")
	}
}

func TestQueriesAndErrors(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "db"))
	s.ask(t, "CREATE TABLE t (x)")
	var group sync.WaitGroup
	for i := 0; i < 20; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if status, body := s.ask(t, "INSERT INTO t VALUES (1)"); status != http.StatusOK {
				t.Errorf("%d %s", status, body)
			}
		}()
	}
	group.Wait()
	if status, body := s.ask(t, "SELECT count(*) AS n FROM t"); status != http.StatusOK || body != `{"columns":["n"],"rows":[[20]],"changes":0}` {
		t.Errorf("%d %s", status, body)
	}
	if status, body := s.ask(t, "SELECT nonsense"); status != http.StatusBadRequest || !strings.Contains(body, "no such column") {
		t.Errorf("%d %s", status, body)
	}
	s.end(t)
}

const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

// Both contexts would be busy for ever if a client that went away did not cancel its query.
func TestAClientThatGoesAwayCancelsItsQuery(t *testing.T) {
	s := start(t, "")
	for i := 0; i < 3; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		s.post(ctx, endless)
		cancel()
	}
	if status, body := s.ask(t, "SELECT 1"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	s.end(t)
}

func TestAWorkersDeathCostsOneRequest(t *testing.T) {
	client, err := berth.Dial(context.Background(), berth.WithPrivate())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	databases, err := newPool(context.Background(), client, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.Status(context.Background())
	if err != nil || len(status.Contexts) != 1 || status.Contexts[0].WorkerPID <= 1 {
		t.Fatalf("%+v %v", status, err)
	}
	query := func() error {
		return databases.with(context.Background(), func(c *berth.Context) error {
			return c.Call(context.Background(), "query", map[string]any{"sql": "SELECT 1"}, nil)
		})
	}
	if err := syscall.Kill(status.Contexts[0].WorkerPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		err = query()
		if err != nil || time.Now().After(deadline) {
			break
		}
	}
	if statusOf(err) != http.StatusBadGateway {
		t.Fatalf("%v", err)
	}
	if err := query(); err != nil {
		t.Fatal(err)
	}
	if err := databases.close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// toldReader tells when it is first read.
type toldReader struct {
	io.Reader
	once *sync.Once
	read chan struct{}
}

func (r toldReader) Read(p []byte) (int, error) {
	r.once.Do(func() { close(r.read) })
	return r.Reader.Read(p)
}

// The answer to what is under way comes before the end.
func TestShutdownWaitsForAnswers(t *testing.T) {
	s := start(t, "")
	const slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) AS m FROM n"
	body := toldReader{strings.NewReader(slow), new(sync.Once), make(chan struct{})}
	request, err := http.NewRequest(http.MethodPost, s.url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Expect", "100-continue") // so the body is read once the handler asks for it
	transport := &http.Transport{ExpectContinueTimeout: patience}
	defer transport.CloseIdleConnections()
	type outcome struct {
		text string
		err  error
	}
	answered := make(chan outcome, 1)
	go func() {
		response, err := transport.RoundTrip(request)
		if err != nil {
			answered <- outcome{"", err}
			return
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		answered <- outcome{string(text), err}
	}()
	<-body.read
	s.end(t)
	if o := <-answered; o.err != nil || !strings.Contains(o.text, "300000") {
		t.Errorf("%q %v", o.text, o.err)
	}
}
