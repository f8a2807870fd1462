package berth

import (
	"bytes"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// Raw is a payload that is encoded already: a request or a configuration goes out as it is, and a reply's bytes come
// back as they are in a *Raw.
type Raw []byte

const (
	maxPayload    = 16 << 20 // the most that a request or reply holds
	pooledAtMost  = 64 << 10 // larger buffers are not kept
	deepestNested = 64
)

var (
	encoder = must(cbor.EncOptions{Time: cbor.TimeRFC3339Nano, TimeTag: cbor.EncTagRequired}.UserBufferEncMode())
	// As much as a payload can hold, else a large result of a query would be refused.
	decoder = must(cbor.DecOptions{MaxNestedLevels: deepestNested, MaxArrayElements: maxPayload, MaxMapPairs: maxPayload}.DecMode())
)

func must[T any](mode T, err error) T {
	if err != nil {
		panic(err)
	}
	return mode
}

// Marshal encodes a value as requests are encoded. nil is no payload at all.
func Marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	return encode(&buffer, v)
}

// Unmarshal decodes a payload, an event's for example, into what v points at. Nothing of v refers to data afterwards.
func Unmarshal(data []byte, v any) error {
	switch to := v.(type) {
	case nil:
		return nil
	case *Raw:
		*to = append((*to)[:0], data...)
		return nil
	default:
		return decoder.Unmarshal(data, v)
	}
}

// encode gives the payload of v: v itself where that is bytes already, else what it wrote to the buffer.
func encode(buffer *bytes.Buffer, v any) ([]byte, error) {
	switch from := v.(type) {
	case nil:
		return nil, nil
	case Raw:
		return from, nil
	default:
		err := encoder.MarshalToBuffer(v, buffer)
		return buffer.Bytes(), err
	}
}

// scratch is what one Call encodes to and decodes from.
type scratch struct {
	request bytes.Buffer
	reply   []byte
}

var scratches = sync.Pool{New: func() any { return &scratch{reply: make([]byte, 0, 512)} }}

func (s *scratch) release() {
	if s.request.Cap() > pooledAtMost || cap(s.reply) > pooledAtMost {
		return
	}
	s.request.Reset()
	s.reply = s.reply[:0]
	scratches.Put(s)
}
