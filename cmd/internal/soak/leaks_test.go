package soak

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// What a server may keep when the load is over, beyond what the first ones had before any fault.
const (
	moreHeap       = 8 << 20 // bytes
	moreGoroutines = 8
	mostCoderConns = 12 // of both: what idle ones each keeps, and reconciling
)

// usage is what a server uses after a garbage collection.
type usage struct{ heap, goroutines int64 }

var baseline usage

var (
	heapAlloc  = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	goroutines = regexp.MustCompile(`(?m)^goroutine profile: total (\d+)$`)
)

func (l *life) usage() (u usage, err error) {
	heap, err := l.ask("/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		return u, err
	}
	stacks, err := l.ask("/debug/pprof/goroutine?debug=1")
	if err != nil {
		return u, err
	}
	found, total := heapAlloc.FindStringSubmatch(heap), goroutines.FindStringSubmatch(stacks)
	if found == nil || total == nil {
		return u, fmt.Errorf("no numbers in profiles of %d and %d bytes", len(heap), len(stacks))
	}
	u.heap, _ = strconv.ParseInt(found[1], 10, 64)
	u.goroutines, _ = strconv.ParseInt(total[1], 10, 64)
	return u, nil
}

func (s *soak) measureBaseline() {
	s.closeIdle()
	for _, r := range s.replicas {
		u, err := r.current().usage()
		if err != nil {
			s.t.Error(err)
		}
		baseline.heap, baseline.goroutines = max(baseline.heap, u.heap), max(baseline.goroutines, u.goroutines)
	}
	s.t.Logf("before the faults: heap %.1f MiB, %d goroutines", float64(baseline.heap)/(1<<20), baseline.goroutines)
}

func (s *soak) closeIdle() { s.auth.client.Transport.(*http.Transport).CloseIdleConnections() }

// wantNoLeaks waits until the servers are back near to what they used before.
func (s *soak) wantNoLeaks() {
	s.closeIdle()
	for _, r := range s.replicas {
		l := r.current()
		var u usage
		var err error
		back := s.until(20*time.Second, func() bool {
			u, err = l.usage()
			return err == nil && u.heap <= baseline.heap+moreHeap && u.goroutines <= baseline.goroutines+moreGoroutines
		})
		if !back {
			stacks, _ := l.ask("/debug/pprof/goroutine?debug=1")
			s.breach("%s keeps %d bytes of heap and %d goroutines, %v\n%.6000s", r.name, u.heap, u.goroutines, err, stacks)
		}
		s.tally.heap.Store(max(s.tally.heap.Load(), u.heap))
		s.tally.goroutines.Store(max(s.tally.goroutines.Load(), u.goroutines))
	}
	if !s.until(10*time.Second, func() bool { return s.coder.connections() <= mostCoderConns }) {
		s.breach("%d connections to Coder are open", s.coder.connections())
	}
	s.tally.coderConns.Store(int64(s.coder.connections()))
}
