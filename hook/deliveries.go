package hook

import (
	"hash/maphash"
	"sync"
	"time"
)

// repeatable is how long a delivery may come again. Supabase Auth never repeats one: each of its attempts has an
// id and a signature of its own (supabase/auth, internal/hooks/hookshttp/hookshttp.go, runHTTPHook). But a
// balancer in front of us, or Go's own transport, may send one again whose connection broke, as long as Supabase
// Auth waits: that is five seconds over all attempts.
const repeatable = 5 * time.Second

// rememberedDeliveries bounds the memory, to some 3 MiB. Up to 109 mints a second that is all that can come within
// the ten minutes in which a signature is good, five before its timestamp and five after; above it, the oldest are forgotten earlier.
const rememberedDeliveries = 1 << 16

// deliveries are the webhook ids of the last signed requests: who got hold of one, as from the log of a proxy,
// gets no answer with a key for it. Each replica knows its own. Its zero value is ready to use.
type deliveries struct {
	mu    sync.Mutex
	seed  maphash.Seed
	first map[uint64]int64 // when an id was delivered first, in Unix nanoseconds: without a pointer there is nothing to collect
	order []uint64         // of the ids, a ring once it is full
	next  int
}

// take reports whether a delivery of that id is to be answered. One is, and its repetitions for a moment.
func (d *deliveries) take(id string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first == nil {
		d.first, d.seed = make(map[uint64]int64), maphash.MakeSeed()
	}
	hash := maphash.String(d.seed, id)
	if began, known := d.first[hash]; known {
		return time.Duration(now.UnixNano()-began).Abs() <= repeatable // a clock that was put back must not let an old one in
	}
	d.first[hash] = now.UnixNano()
	if len(d.order) < rememberedDeliveries {
		d.order = append(d.order, hash)
		return true
	}
	delete(d.first, d.order[d.next])
	d.order[d.next] = hash
	d.next = (d.next + 1) % rememberedDeliveries
	return true
}
