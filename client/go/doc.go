// Package berth runs native libraries in processes of their own.
//
// A Client connects to a supervisor, and starts a private one where no service runs. A Context is one instance of a
// module's library, in a worker process; a crash of the library ends that process, and its calls get ErrWorkerDied.
//
//	client, err := berth.Dial(ctx)
//	db, err := client.Open(ctx, "sqlite", nil)
//	var answer struct {
//		Rows [][]any `cbor:"rows"`
//	}
//	err = db.Call(ctx, "query", map[string]any{"sql": "SELECT sqlite_version()"}, &answer)
//
// Any number of goroutines may call. One that waits holds no thread: answers come in by Go's own poller. A context.Context
// that ends reaches the module's cancel hook.
//
// The package sees the installed berth.h alone, by pkg-config. With the build tag berth_static the client library is
// linked in.
package berth
