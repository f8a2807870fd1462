package berth_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	berth "github.com/berth-project/berth/client/go"
)

func Example() {
	ctx := context.Background()
	client, err := berth.Dial(ctx, berth.WithPrivate())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	db, err := client.Open(ctx, "sqlite", nil)
	if err != nil {
		log.Fatal(err)
	}
	var answer struct {
		Rows [][]int `cbor:"rows"`
	}
	request := map[string]any{"sql": "SELECT ? + ?", "params": []int{40, 2}}
	if err := db.Call(ctx, "query", request, &answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Rows[0][0])
	// Output: 42
}

func ExampleContext_Call_deadline() {
	client, err := berth.Dial(context.Background(), berth.WithPrivate())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	db, err := client.Open(context.Background(), "sqlite", nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	endless := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	err = db.Call(ctx, "query", map[string]any{"sql": endless}, nil)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

func ExampleWorkerDiedError() {
	client, err := berth.Dial(context.Background(), berth.WithPrivate())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	c, err := client.Open(context.Background(), "echo", nil)
	if err != nil {
		log.Fatal(err)
	}
	err = c.Call(context.Background(), "die", map[string]any{"how": "segv"}, nil)
	var died *berth.WorkerDiedError
	if errors.As(err, &died) {
		fmt.Println(died.Signal)
	}
	// Output: segmentation fault
}

func ExampleContext_Events() {
	ctx := context.Background()
	client, err := berth.Dial(ctx, berth.WithPrivate())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	db, err := client.Open(ctx, "sqlite", nil)
	if err != nil {
		log.Fatal(err)
	}
	changes, err := db.Events("changed", 16, berth.DropOldest)
	if err != nil {
		log.Fatal(err)
	}
	db.Call(ctx, "exec", map[string]any{"sql": "CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)"}, nil)
	var change struct {
		Table   string `cbor:"table"`
		Changes int    `cbor:"changes"`
	}
	if err := berth.Unmarshal(<-changes.C, &change); err != nil {
		log.Fatal(err)
	}
	fmt.Println(change.Table, change.Changes)
	// Output: t 2
}

func ExampleContext_Go() {
	ctx := context.Background()
	client, err := berth.Dial(ctx, berth.WithPrivate())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	c, err := client.Open(ctx, "echo", nil)
	if err != nil {
		log.Fatal(err)
	}
	future := c.Go(ctx, "later", map[string]any{"ms": 10, "data": "at last"}, nil)
	select {
	case <-future.Done():
		reply, err := future.Reply()
		fmt.Println(string(reply), err)
	case <-time.After(time.Minute):
		fmt.Println("not yet")
	}
	// Output: at last <nil>
}
