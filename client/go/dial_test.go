package berth_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	berth "github.com/berth-project/berth/client/go"
)

// textOf is the text of an error that has a code; the whole error shows it too.
func textOf(t *testing.T, err error, code berth.Code) string {
	t.Helper()
	var e *berth.Error
	if !errors.Is(err, code) || !errors.As(err, &e) {
		t.Fatalf("%v, not %v", err, code)
	}
	if !strings.HasSuffix(err.Error(), ": "+e.Text) {
		t.Errorf("%q does not end in its text %q", err, e.Text)
	}
	return e.Text
}

func TestDialNamesTheSocketAndTheCause(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "nobody.sock")
	_, err := berth.Dial(background(t), berth.WithSocket(missing), berth.WithoutPrivate())
	if text := textOf(t, err, berth.ErrUnavailable); text != "cannot connect to "+missing+": No such file or directory" {
		t.Error(text)
	}
}

func TestDialNamesASupervisorThatCannotBeStarted(t *testing.T) {
	folder := t.TempDir()
	socket, daemon := filepath.Join(folder, "nobody.sock"), filepath.Join(folder, "no-berthd")
	t.Setenv("BERTH_DAEMON", daemon)
	_, err := berth.Dial(background(t), berth.WithSocket(socket))
	text := textOf(t, err, berth.ErrUnavailable)
	for _, path := range []string{socket, daemon} {
		if !strings.Contains(text, path+": No such file or directory") {
			t.Errorf("%q does not name %s", text, path)
		}
	}
	_, err = berth.Dial(background(t), berth.WithPrivate())
	if text := textOf(t, err, berth.ErrUnavailable); !strings.Contains(text, daemon+": No such file or directory") {
		t.Error(text)
	}
}

// Root may connect to anything, so for the while it is nobody.
func TestDialSaysWhichSocketDoesNotAdmitUs(t *testing.T) {
	forbidden := filepath.Join(t.TempDir(), "forbidden.sock")
	listener, err := net.Listen("unixpacket", forbidden)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.Chmod(forbidden, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := syscall.Setresuid(-1, 65534, -1); err != nil {
			t.Skip(err)
		}
		defer func() {
			if err := syscall.Setresuid(-1, 0, -1); err != nil {
				t.Fatal(err)
			}
		}()
	}
	_, err = berth.Dial(background(t), berth.WithSocket(forbidden), berth.WithoutPrivate())
	if text := textOf(t, err, berth.ErrDenied); text != "cannot connect to "+forbidden+": Permission denied" {
		t.Error(text)
	}
}

func TestDialTrustsAnotherUsersSocketWhereItIsSaid(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	deserted := filepath.Join(t.TempDir(), "deserted.sock")
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: deserted, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	if err := os.Chown(deserted, 47211, 47211); err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[uint32]string{
		0:     "cannot trust " + deserted + ": it belongs to user 47211",
		47212: "cannot trust " + deserted + ": it belongs to user 47211",
		47211: "cannot connect to " + deserted + ": Connection refused",
	} {
		_, err = berth.Dial(background(t), berth.WithSocket(deserted), berth.WithSocketOwner(owner), berth.WithoutPrivate())
		if text := textOf(t, err, berth.ErrUnavailable); text != want {
			t.Error(text)
		}
	}
}
