// Packages loads the machine's package database into SQLite, which lives in another process, and asks it questions.
//
//	packages [STATUS-FILE]     /var/lib/dpkg/status unless given
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	berth "github.com/berth-project/berth/client/go"
)

const (
	batchRows = 500
	create    = "CREATE TABLE packages (name TEXT, version TEXT, section TEXT, installed_kib INTEGER)"
	insert    = "INSERT INTO packages VALUES (?, ?, ?, ?)"
	largest   = "SELECT section, count(*), sum(installed_kib) / 1024 FROM packages GROUP BY section ORDER BY 3 DESC LIMIT 5"
)

type request struct {
	SQL  string  `cbor:"sql"`
	Rows [][]any `cbor:"rows,omitempty"`
}

func main() {
	path := "/var/lib/dpkg/status"
	if len(os.Args) > 1 {
		path = os.Args[1]
	}
	if err := run(context.Background(), path, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string, out io.Writer) error {
	client, err := berth.Dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	db, err := client.Open(ctx, "sqlite", nil)
	if err != nil {
		return err
	}
	began := time.Now()
	n, err := load(ctx, db, path)
	if err != nil {
		return err
	}
	loaded := time.Since(began)
	var answer struct {
		Rows [][]any `cbor:"rows"`
	}
	began = time.Now()
	if err := db.Call(ctx, "query", request{SQL: largest}, &answer); err != nil {
		return err
	}
	asked := time.Since(began)
	for _, row := range answer.Rows {
		fmt.Fprintf(out, "%-24v %6v packages %8v MiB\n", row[0], row[1], row[2])
	}
	fmt.Fprintf(out, "%d packages loaded in %d ms, the largest sections queried in %d µs\n", n, loaded.Milliseconds(),
		asked.Microseconds())
	return nil
}

func load(ctx context.Context, db *berth.Context, path string) (int, error) {
	if err := db.Call(ctx, "exec", request{SQL: create}, nil); err != nil {
		return 0, err
	}
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	var rows [][]any
	n := 0
	err = readStatus(file, func(fields map[string]string) error {
		kib, _ := strconv.ParseInt(fields["Installed-Size"], 10, 64)
		rows = append(rows, []any{fields["Package"], fields["Version"], fields["Section"], kib})
		n++
		if len(rows) < batchRows {
			return nil
		}
		full := rows
		rows = nil
		return db.Call(ctx, "batch", request{SQL: insert, Rows: full}, nil)
	})
	if err == nil && len(rows) > 0 {
		err = db.Call(ctx, "batch", request{SQL: insert, Rows: rows}, nil)
	}
	return n, err
}

// readStatus gives each paragraph's first lines.
func readStatus(from io.Reader, each func(fields map[string]string) error) error {
	fields := map[string]string{}
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if line == "" && len(fields) > 0 {
			if err := each(fields); err != nil {
				return err
			}
			fields = map[string]string{}
		}
		if name, value, found := strings.Cut(line, ": "); found && line[0] != ' ' {
			fields[name] = value
		}
	}
	if err := lines.Err(); err != nil || len(fields) == 0 {
		return err
	}
	return each(fields)
}
