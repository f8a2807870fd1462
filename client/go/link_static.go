//go:build berth_static

package berth

// The archive comes first and has every symbol, so the shared library that berth.pc names is not needed; libcbor is
// looked for as the system has it.

// #cgo LDFLAGS: -Wl,--as-needed -l:libberth.a
// #cgo pkg-config: --static berth
import "C"
