package soak

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// fault is something that fails, from when on and for how long.
type fault struct {
	at, lasts time.Duration
	kind      kind
	pick      uint64 // which of the kind's variants
}

// kind is one way to fail. Whatever it breaks, it has mended when play returns.
type kind struct {
	name  string
	after time.Duration // how long what it breaks may take to notice that it is mended
	play  func(*soak, fault)
}

func (f fault) String() string {
	return fmt.Sprintf("%6.2fs  %s, for %s (%d)", f.at.Seconds(), f.kind.name, f.lasts, f.pick)
}

func (f fault) choice(n int) int { return int(f.pick % uint64(n)) }

// kinds: what it takes longest to notice is the circuit breaker's pause with Coder, a call of it
// that still hangs, and the lease of a server that was killed.
var kinds = slices.Concat(
	group(8*time.Second, map[string]func(*soak, fault){
		"Coder hangs":          coderHangs,
		"Coder's answers hang": coderKeepsAnswers,
	}),
	group(4*time.Second, map[string]func(*soak, fault){
		"Coder resets connections": coderResets,
		"Coder limits the rate":    coderLimits,
		"Coder answers 5xx":        coderFails,
		"Coder answers rubbish":    coderBabbles,
		"Coder is slow":            coderIsSlow,
		"Coder loses answers":      coderLosesAnswers,
		"Coder is installed anew":  coderStartsAnew,
		"Coder fails now and then": coderFlickers,
		"Coder makes no tokens":    coderMakesNoTokens,
		"Coder tells no key's end": coderTellsNoEnd,
	}),
	group(3*time.Second, map[string]func(*soak, fault){
		"PostgreSQL restarts": postgresRestarts,
		"PostgreSQL crashes":  postgresCrashes,
		"connections are cut": connectionsAreCut,
		"connections run out": connectionsRunOut,
		"profiles are locked": rowsAreLocked,
		"the table is locked": tableIsLocked,
	}),
	group(6*time.Second, map[string]func(*soak, fault){
		"a server is killed":      serverIsKilled,
		"a server is told to end": serverIsTold,
		"all servers are killed":  serversAreKilled,
	}),
)

func group(after time.Duration, plays map[string]func(*soak, fault)) (list []kind) {
	for name, play := range plays {
		if play != nil {
			list = append(list, kind{name, after, play})
		}
	}
	slices.SortFunc(list, func(a, b kind) int { return cmp.Compare(a.name, b.name) })
	return list
}

// draw makes the schedule: spells of two to four faults that overlap, and calm between them. The
// kinds are dealt like cards, so that none is long in coming.
func draw(seed uint64, length time.Duration) (plan []fault) {
	random := rand.New(rand.NewPCG(seed, 0))
	between := func(from, to time.Duration) time.Duration {
		return from + time.Duration(random.Int64N(int64(to-from))).Round(10*time.Millisecond)
	}
	var deck []kind
	for begins := between(200*time.Millisecond, time.Second); begins < length-time.Second; {
		ends := begins
		for range 2 + random.IntN(3) {
			if len(deck) == 0 {
				deck = slices.Clone(kinds)
				random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			}
			f := fault{begins + between(0, 1500*time.Millisecond), between(200*time.Millisecond, 3*time.Second), deck[0], random.Uint64N(1000)}
			deck = deck[1:]
			f.lasts = min(f.lasts, max(length-f.at, 100*time.Millisecond))
			plan, ends = append(plan, f), max(ends, f.at+f.lasts)
		}
		begins = ends + between(0, min(length/6, 8*time.Second))
	}
	if short(length) {
		// What a lost sign-up left in a server's hands would keep it busy for half a minute.
		plan = append(plan, fault{length, 0, kind{"at last all servers are killed", 0, serversAreKilled}, 0})
	}
	slices.SortStableFunc(plan, func(a, b fault) int { return cmp.Compare(a.at, b.at) })
	return plan
}

// short is the form that runs with all other tests.
func short(length time.Duration) bool { return length <= time.Minute }

// play lets everything fail as planned, and returns when all is mended.
func (s *soak) play() {
	var playing sync.WaitGroup
	for _, f := range s.plan {
		if !s.pause(time.Until(s.began.Add(f.at))) {
			break
		}
		playing.Go(func() {
			s.tally.faults.add(f.kind.name)
			over := s.trouble.begin()
			defer func() { over(time.Now().Add(f.kind.after)) }()
			f.kind.play(s, f)
		})
	}
	playing.Wait()
}

// pause is part of the load and of the faults, not a way to wait for what they do.
func (s *soak) pause(d time.Duration) bool {
	select {
	case <-s.t.Context().Done():
		return false
	case <-time.After(d):
		return true
	}
}

func TestScheduleIsTheSeeds(t *testing.T) {
	t.Parallel()
	a, b := fmt.Sprint(draw(7, time.Minute)), fmt.Sprint(draw(7, time.Minute))
	if a != b || a == fmt.Sprint(draw(8, time.Minute)) {
		t.Error("the schedule depends on something else than the seed")
	}
}
