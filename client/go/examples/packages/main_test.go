package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status")
	status := "Package: a\nVersion: 1\nSection: libs\nInstalled-Size: 2048\nDescription: one\n more: text\n\n" +
		"Package: b\nVersion: 2\nSection: libs\nInstalled-Size: 1024\n"
	if err := os.WriteFile(path, []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BERTH_SOCKET", "")
	var out bytes.Buffer
	if err := run(context.Background(), path, &out); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(strings.Fields(out.String()), " "); !strings.HasPrefix(text, "libs 2 packages 3 MiB 2 packages loaded in") {
		t.Errorf("%s", out.String())
	}
}
