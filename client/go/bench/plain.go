package main

// #cgo pkg-config: berth
// #include <berth/berth.h>
// static int touch(const unsigned char *payload, size_t len) { return len ? payload[len - 1] : 0; }
//
// static uint64_t echo_open(uint64_t client_bits, uint32_t *method) {
//     berth_context context = {0};
//     berth_client client = {client_bits};
//     if (berth_open(client, "echo", NULL, 0, NULL, &context, NULL) != BERTH_RET_OK ||
//         berth_method(context, "echo", method) != BERTH_RET_OK)
//         return 0;
//     return context.bits;
// }
//
// static int echo_in_c(uint64_t bits, uint32_t method, const unsigned char *payload, size_t len, int times) {
//     berth_context context = {bits};
//     int ret = BERTH_RET_OK;
//     for (int i = 0; i < times && ret == BERTH_RET_OK; i++) {
//         struct berth_reply reply;
//         ret = berth_call(context, method, payload, len, -1, &reply);
//         berth_reply_free(&reply);
//     }
//     return ret;
// }
//
// static uint64_t private_connection(void) {
//     struct berth_options options = {.size = sizeof options, .flags = BERTH_PRIVATE};
//     berth_client client = {0};
//     berth_connect(&options, &client);
//     return client.bits;
// }
//
// static void disconnect(uint64_t bits) { berth_disconnect((berth_client){bits}); }
import "C"

import (
	"fmt"
	"unsafe"
)

// inC is how many calls the C row makes for one of Go's, so that what is shown is C's own price.
const inC = 1000

func plainSubjects() ([]subject, func(), error) {
	client := C.private_connection()
	var method C.uint32_t
	context := C.echo_open(client, &method)
	stop := func() { C.disconnect(client) }
	if context == 0 {
		return nil, stop, fmt.Errorf("no echo module")
	}
	pointer := func(payload []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(&payload[0])) }
	cgo := func() (func([]byte) error, error) {
		return func(payload []byte) error {
			C.touch(pointer(payload), C.size_t(len(payload)))
			return nil
		}, nil
	}
	c := func() (func([]byte) error, error) {
		return func(payload []byte) error {
			if ret := C.echo_in_c(context, method, pointer(payload), C.size_t(len(payload)), inC); ret != 0 {
				return fmt.Errorf("berth_call: %d", int(ret))
			}
			return nil
		}, nil
	}
	return []subject{
		{name: "plain cgo call", newCaller: cgo, concurrent: true},
		{name: fmt.Sprintf("berth_call in C, %d of them", inC), newCaller: c},
	}, stop, nil
}
