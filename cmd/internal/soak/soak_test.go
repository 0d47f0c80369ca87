package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	lengthFlag = flag.Duration("soak.time", 10*time.Second, "how long load and faults go on")
	seedFlag   = flag.Uint64("soak.seed", 1, "what the faults are drawn from; 0 draws a seed")
)

// What is short here and long in production, so that a soak sees many lives of keys and tokens.
const (
	keyLife    = 12 * time.Second
	signUpsEnd = 0.7 // of the soak; until then some sign-ups are rolled back: cleaning up takes half a minute
)

// soak is one run.
type soak struct {
	t      *testing.T
	seed   uint64
	length time.Duration
	began  time.Time

	plan     []fault
	program  string
	db       *database
	coder    *coder
	replicas [2]*replica
	auth     *auth
	people   *people
	trouble  spans
	stalls   *stalls
	tally    tally
	secrets  secrets
	leaving  sync.WaitGroup // who looks after those that left

	mu       sync.Mutex
	breaches []string
}

// TestSoak is not parallel: it takes all the time that there is.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("there is no shorter soak")
	}
	s := newSoak(t)
	defer s.report()
	s.settleIn()
	s.storm()
	s.heals()
	if s.failed() { // waiting for more would only take long
		return
	}
	s.leaving.Wait()
	s.wantConsistent()
	s.wantNoLeaks()
	s.end()
	s.wantNoSecrets()
}

func newSoak(t *testing.T) *soak {
	s := &soak{t: t, seed: *seedFlag, length: *lengthFlag, began: time.Now()}
	if s.seed == 0 {
		s.seed = rand.Uint64N(1_000_000)
	}
	t.Logf("seed %d", s.seed)
	s.plan, s.program = draw(s.seed, s.length), build(t)
	s.stalls = watchStalls(t)
	s.db, s.coder = startDatabase(t, s.seed), startCoder(t, s.seed)
	s.auth, s.people = newAuth(s), new(people)
	for i := range s.replicas {
		s.replicas[i] = &replica{soak: s, name: fmt.Sprintf("server %d", i+1)}
		s.replicas[i].start()
		go s.replicas[i].watch() // ends with the test
	}
	return s
}

// random is a source of its own for each who needs one, the same for the same seed.
func (s *soak) random(who int) *rand.Rand { return rand.New(rand.NewPCG(s.seed, uint64(who))) }

// storm is the load with the faults.
func (s *soak) storm() {
	s.began = time.Now()
	ctx, cancel := context.WithTimeout(s.t.Context(), s.length)
	defer cancel()
	var load sync.WaitGroup
	for i := range workers {
		load.Go(func() { s.work(ctx, s.random(100+i)) })
	}
	s.play()
	load.Wait()
}

// breach notes that something which must always hold does not.
func (s *soak) breach(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaches = append(s.breaches, fmt.Sprintf("%6.2fs  ", time.Since(s.began).Seconds())+fmt.Sprintf(format, args...))
}

func (s *soak) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.breaches) > 0
}

// report says what happened, and of a failure how to see it again.
func (s *soak) report() {
	s.t.Logf("seed %d, %s: %s", s.seed, s.length, &s.tally)
	if len(s.breaches) == 0 && !s.t.Failed() {
		return
	}
	shown := s.breaches[:min(len(s.breaches), 25)]
	s.t.Errorf("%d times something did not hold that must always hold; the first:\n  %s", len(s.breaches), strings.Join(shown, "\n  "))
	var played strings.Builder
	for _, f := range s.plan {
		if f.at <= time.Since(s.began) {
			fmt.Fprintf(&played, "  %s\n", f)
		}
	}
	s.t.Logf("the faults until then:\n%s", played.String())
	s.t.Logf("again: go test -race ./cmd/internal/soak -run TestSoak -soak.time %s -soak.seed %d -timeout 1h -v", s.length, s.seed)
	for _, r := range s.replicas {
		r.tellOf(s.t, shown)
	}
}

// until polls; a soak waits for things to happen and never just waits.
func (s *soak) until(patience time.Duration, holds func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			return false
		case <-s.t.Context().Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}
