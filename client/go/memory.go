package berth

// #include <stdlib.h>
// #include "bridge.h"
import "C"

import (
	"context"
	"time"
	"unsafe"
)

func retName(code Code) string { return C.GoString(C.berth_ret_name(C.int(code))) }

// Version is that of the C library in use.
func Version() string { return C.GoString(C.berth_version()) }

func cStringOrNil(s string) (*C.char, func()) {
	if s == "" {
		return nil, func() {}
	}
	text := C.CString(s)
	return text, func() { C.free(unsafe.Pointer(text)) }
}

func bytesPointer(b []byte) *C.uint8_t {
	if len(b) == 0 {
		return nil
	}
	return (*C.uint8_t)(unsafe.Pointer(&b[0]))
}

// grow gives dst with room for n more bytes.
func grow(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	if dst == nil {
		return make([]byte, 0, n)
	}
	return append(make([]byte, 0, 2*cap(dst)+n), dst...)
}

// takeBlock appends an answer that stands in a block, and gives the block back.
func takeBlock(dst []byte, answer *C.struct_bg_answer) []byte {
	if answer.block == 0 {
		return dst
	}
	n := int(answer.len)
	dst = grow(dst, n)
	dst = dst[:len(dst)+n]
	C.bg_take(answer.block, bytesPointer(dst[len(dst)-n:]))
	answer.block = 0
	return dst
}

// cBytes is memory of C's as a slice, not copied.
func cBytes(data *C.uint8_t, n C.uint64_t) []byte {
	if data == nil || n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(data)), int(n))
}

// timeoutOf is what is left until the deadline, as the C functions take it.
func timeoutOf(ctx context.Context) C.int {
	deadline, ok := ctx.Deadline()
	if !ok {
		return -1
	}
	left := time.Until(deadline)
	if left <= 0 {
		return 0
	}
	return C.int(milliseconds32(left))
}
