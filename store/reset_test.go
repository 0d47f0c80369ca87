package store

import (
	"sync/atomic"
	"testing"
	"time"
)

// Who sees that the pool was reset runs a statement once more, and must not get one of the connections of before.
func TestNobodyGoesOnBeforeTheResetIsOver(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*resets){
		"in its turn": func(r *resets) { r.since(0) },
		"at once":     func(r *resets) { r.force() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var over atomic.Bool
			atIt, goOn := make(chan struct{}), make(chan struct{})
			r := &resets{now: time.Now, reset: func() {
				close(atIt)
				<-goOn
				over.Store(true)
			}}
			go begin(r)
			<-atIt
			time.AfterFunc(20*time.Millisecond, func() { close(goOn) })
			if !r.since(0) {
				t.Error("a reset that somebody else has begun does not count")
			}
			if !over.Load() {
				t.Error("went on with the connections of before")
			}
		})
	}
}
