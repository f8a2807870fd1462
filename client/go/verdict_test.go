package berth_test

import (
	"errors"
	"sync"
	"testing"

	berth "github.com/berth-project/berth/client/go"
)

// A refusal can come before berth_open_submit has returned; its callback must not get lost.
func TestEveryRefusedOpenIsToldSo(t *testing.T) {
	client := dial(t)
	var group sync.WaitGroup
	for g := 0; g < 8; g++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := 0; i < 100; i++ {
				if _, err := client.Open(background(t), "no-such-module", nil); !errors.Is(err, berth.ErrNoModule) {
					t.Errorf("%v", err)
					return
				}
			}
		}()
	}
	group.Wait()
}
