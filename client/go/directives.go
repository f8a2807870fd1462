//go:build go1.24

package berth

// From Go 1.24 on the compiler believes these: the hot functions keep no pointer and call nothing back, so what is passed
// to them may stay on the stack.

// #cgo noescape bg_call
// #cgo nocallback bg_call
// #cgo noescape bg_reap
// #cgo nocallback bg_reap
// #cgo noescape bg_take
// #cgo nocallback bg_take
// #cgo noescape bg_cancel
// #cgo nocallback bg_cancel
// #include "bridge.h"
import "C"
