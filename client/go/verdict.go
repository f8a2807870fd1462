package berth

// #include "bridge.h"
import "C"

import "os"

// verdict is how an open or a close went, told by a thread of berth's through an eventfd, so that the goroutine that
// waits for it holds no thread.
type verdict struct {
	c    *C.struct_bg_verdict
	file *os.File
}

func newVerdict() (*verdict, error) {
	c, err := C.bg_verdict_new()
	if c == nil {
		return nil, err
	}
	return &verdict{c: c, file: newFile(C.int(c.fd), "berth verdict")}, nil
}

// wait gives code and payload, once, and releases the verdict.
func (v *verdict) wait() (Code, []byte) {
	var count [8]byte
	_, err := v.file.Read(count[:])
	if err != nil {
		// Whoever is to tell may still do so: the memory stays his.
		v.file.Close()
		return ErrProtocol, []byte(err.Error())
	}
	code, payload := Code(v.c.ret), append([]byte(nil), cBytes(v.c.data, v.c.len)...)
	v.release()
	return code, payload
}

// release is for a verdict that nobody tells any more.
func (v *verdict) release() {
	v.file.Close()
	C.bg_verdict_free(v.c)
}

// closing closes a context and waits until that is over.
func (v *verdict) closing(context C.uint64_t) (Code, []byte) {
	ret := Code(C.bg_close(context, v.c))
	if ret != retOK && ret != ErrModule { // ErrModule: a close is under way, and told so
		v.release()
		return ret, nil
	}
	return v.wait()
}
