package berth

import (
	"bytes"
	"testing"
)

// What comes from the supervisor and from modules is decoded by these; the seeds run as ordinary tests.

func FuzzWorkerDied(f *testing.F) {
	for _, seed := range []string{"", "\xa0", "\xf6", "\xa4fsignal\x09cpid\x19\x12\x34duses\x01hlast_log`",
		"\xa1fstatus\x03", "\xa1fsignal\x19\xff\xff", "\xa1fsignal\x20", "\xa1cpid\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xa1hlast_loga\xff", "\xbffsignal\x0b\xff", "\xa2fsignal\x0bfsignal\x06"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		died := parseWorkerDied(payload)
		if died.Signal < 0 || died.Signal > 255 || died.Status < -1 || died.Status > 255 || died.Signal != 0 && died.Status != -1 {
			t.Errorf("%+v", died)
		}
		if failure("call", "x", ErrWorkerDied, payload).Error() == "" {
			t.Error("no text")
		}
	})
}

func FuzzStatusAndOutcome(f *testing.F) {
	for _, seed := range []string{"", "\xa0", "\xa2goutcomegdrainedgcut_off\x00", "\xa1goutcome\x01", "\xa1gmodules\x81\xa1dnamedecho",
		"\xa1hcontexts\x81\xa2bid\x01iin_flight\xf6", "\xa1gworkers\x9f\xff", "\xa1fdaemon\xa1cpid\x3b\xff\xff\xff\xff\xff\xff\xff\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var status Status
		var outcome Outcome
		_ = Unmarshal(payload, &status)
		_ = Unmarshal(payload, &outcome)
	})
}

func FuzzUnmarshalKeepsNothingOfItsInput(f *testing.F) {
	for _, seed := range []string{"\x43abc", "\x63abc", "\x83\x01\x20\xf5", "\xa1aa\x41b", "\xc2\x41\x01", "\xfb@\t!\xfbTD-\x18",
		"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", "\x5f\x41a\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var value any
		if Unmarshal(payload, &value) != nil {
			return
		}
		before, err := Marshal(value)
		if err != nil {
			return // a value that Go can hold and CBOR's encoder does not take, such as a map's odd key
		}
		for i := range payload {
			payload[i] ^= 0xff
		}
		if after, err := Marshal(value); err != nil || len(after) != len(before) {
			t.Errorf("%x became %x, %v", before, after, err)
		} else if !mapsInside(value) && !bytes.Equal(before, after) {
			t.Errorf("%x became %x", before, after)
		}
	})
}

// mapsInside: a map's order is not kept.
func mapsInside(value any) bool {
	switch v := value.(type) {
	case map[any]any:
		return true
	case []any:
		for _, element := range v {
			if mapsInside(element) {
				return true
			}
		}
	}
	return false
}
