package serve

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coderhook/cmd/internal/exposure"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// readableBy is a report with one reader of everybody's keys, or none.
func readableBy(roles ...string) exposure.Report {
	p := exposure.Place{Relation: store.Relation{Name: "public.profiles"}}
	for _, role := range roles {
		p.Reaches = append(p.Reaches, exposure.Reach{Role: role, Read: exposure.Everyone})
	}
	return exposure.Report{Places: []exposure.Place{p}}
}

// Before the first verdict nothing is made; a database that can't be asked changes none; a cure is noticed within a minute.
func TestKeyWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // of what follows
		var found exposure.Report
		fault := errors.New("no database")
		var log strings.Builder
		looks := 0
		w := &keyWatch{every: time.Hour, log: zerolog.New(&log), looked: make(chan struct{}), look: func(context.Context) (exposure.Report, error) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			looks++
			return found, fault
		}}
		ctx, stop := context.WithCancel(t.Context())
		go w.run(ctx)
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := w.mayMake(short); !errors.Is(err, errNotJudged) {
			t.Errorf("before the first look: %v", err)
		}
		began := time.Now()
		if err := w.mayMake(ctx); !errors.Is(err, errNotJudged) || time.Since(began) > time.Second {
			t.Errorf("after a look that failed: %v, %s", err, time.Since(began))
		}
		step := func(readers exposure.Report, err error, wait time.Duration, want error) {
			t.Helper()
			mu.Lock()
			found, fault = readers, err
			mu.Unlock()
			time.Sleep(wait)
			synctest.Wait()
			if got := w.mayMake(ctx); !errors.Is(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		step(readableBy("anon"), nil, 4*time.Second, errReadable)
		step(readableBy("anon"), nil, 10*time.Minute, errReadable)
		step(readableBy(), errors.New("down"), 10*time.Minute, errReadable)
		step(readableBy(), nil, 62*time.Second, nil)
		step(readableBy(), errors.New("down"), 2*time.Hour, nil)
		mu.Lock()
		before := looks
		mu.Unlock()
		step(readableBy(), nil, 3*time.Hour, nil)
		stop()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if looks-before > 5 {
			t.Errorf("%d looks in three hours", looks-before)
		}
		if n := strings.Count(log.String(), "no new key is made"); n != 1 {
			t.Errorf("said %d times:\n%s", n, log.String())
		}
	})
}
