package provision

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/metrics"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
)

// coderUp is a Coder that is there, or not, and of which nothing else is asked.
type coderUp struct {
	Coder
	down bool
}

func (c *coderUp) Available() bool { return !c.down }

// idler is a Provisioner whose backlog nobody works off.
func idler() (*Provisioner, *coderUp) {
	coder := new(coderUp)
	p := New(DefaultOptions(), nil, coder, &account.Maker{Pace: new(pace.Limiter)}, nil, metrics.New(), zerolog.Nop())
	p.backlog.busy = true
	return p, coder
}

func someone() Request {
	return Request{User: uuid.New(), Email: "ada@example.com", Until: time.Now().Add(time.Hour)}
}

func (p *Provisioner) delays() (all []time.Duration) {
	for _, e := range p.backlog.byDue {
		all = append(all, time.Until(e.due))
	}
	return all
}

func TestLaterTakesOnlyWhatPasses(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]error{
		"conflict": fmt.Errorf("%w: foreign", account.ErrConflict), "stopping": ErrStopping, "gone": errGone,
	} {
		p, _ := idler()
		if p.later(someone(), refused); len(p.backlog.byDue) != 0 {
			t.Errorf("%s is tried again", name)
		}
	}
	p, _ := idler()
	renewal := someone()
	renewal.renew = true
	if p.later(renewal, coderclient.ErrUnavailable); len(p.backlog.byDue) != 0 {
		t.Error("a renewal is tried again, though the next mint does it")
	}
	p.stopping = true
	if p.later(someone(), coderclient.ErrUnavailable); len(p.backlog.byDue) != 0 {
		t.Error("the server stops, and takes more work")
	}
}

func TestLaterGrowsRarer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _ := idler()
		first := time.Now()
		r := someone()
		r.Until = first.Add(24 * time.Hour)
		for n, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300} {
			p.later(r, errors.New("anything"))
			if got := p.delays(); len(got) != 1 || got[0] != want*time.Second {
				t.Fatalf("try %d comes after %v, want %d s", n+1, got, want)
			}
			time.Sleep(want * time.Second)
			next, wait, ok := p.nextDue()
			if !ok || wait != 0 || next.tries != n+1 || !next.since.Equal(first) {
				t.Fatalf("try %d: %+v, wait %s", n+1, next, wait)
			}
			r = next
		}
	})
}

func TestLaterHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _ := idler()
		p.later(someone(), fmt.Errorf("mint: %w", &coderclient.Error{Status: 429, RetryAfter: 40 * time.Second}))
		p.later(someone(), &coderclient.Error{Status: 429, RetryAfter: 24 * time.Hour})
		if got := p.delays(); got[0] != 40*time.Second || got[1] != pace.LongestRest {
			t.Errorf("tried again after %v", got)
		}
	})
}

func TestLaterKnowsAUserOnce(t *testing.T) {
	t.Parallel()
	p, _ := idler()
	r := someone()
	p.later(r, ErrPending)
	newer, older := r, r
	newer.Email, newer.Until = "ada@new.example.com", r.Until.Add(time.Hour)
	older.Until = r.Until.Add(-time.Hour)
	p.later(newer, ErrPending)
	p.later(older, ErrPending)
	if got := p.backlog.byDue; len(got) != 1 || got[0].Email != newer.Email || !got[0].Until.Equal(newer.Until) {
		t.Errorf("got %+v, want one entry, for the token that lives longest", got[0])
	}
	if n := testutil.ToFloat64(p.metrics.backlog); n != 1 {
		t.Errorf("the metric says %v", n)
	}
}

// emptyLedger knows nobody.
type emptyLedger struct{ Ledger }

func (emptyLedger) Lookup(context.Context, uuid.UUID) (store.Account, error) {
	return store.Account{}, nil
}

// A job that is there may be ending just now: its failure is known already, and nobody else tries again.
func TestBacklogKeepsWhomAJobIsFor(t *testing.T) {
	t.Parallel()
	p, _ := idler()
	p.Ledger = emptyLedger{}
	r := someone()
	p.jobs[r.User] = &job{Request: r}
	if p.tryAgain(r); len(p.backlog.byDue) != 1 || len(p.background) != 0 {
		t.Errorf("%d in the backlog, want 1; %d places are taken", len(p.backlog.byDue), len(p.background))
	}
}

func TestBacklogGoesByDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, coder := idler()
		var users []uuid.UUID
		for _, retry := range []time.Duration{30, 10, 20} {
			r := someone()
			users = append(users, r.User)
			p.later(r, &coderclient.Error{Status: 429, RetryAfter: retry * time.Second})
		}
		if _, wait, ok := p.nextDue(); !ok || wait != time.Second {
			t.Errorf("waits %s before it looks again", wait)
		}
		time.Sleep(time.Minute)
		coder.down = true
		if _, wait, ok := p.nextDue(); !ok || wait == 0 {
			t.Error("Coder is asked while it is down")
		}
		coder.down = false
		for _, want := range []int{1, 2, 0} {
			if next, _, ok := p.nextDue(); !ok || next.User != users[want] {
				t.Errorf("got %s, want %s", next.User, users[want])
			}
		}
		p.Accounts.Pace.Limited(&rateLimited)
		p.background <- struct{}{}
		if _, _, ok := p.nextDue(); ok || !p.Accounts.Pace.Limiting() {
			t.Error("the pace is forgotten while users are made")
		}
		<-p.background
		if _, _, ok := p.nextDue(); ok || p.backlog.busy || p.Accounts.Pace.Limiting() {
			t.Error("an empty backlog is worked off, or goes on to slow sign-ins down")
		}
		if n := testutil.ToFloat64(p.metrics.backlog); n != 0 {
			t.Errorf("the metric says %v", n)
		}
	})
}

// rateLimited is what every Coder with the default settings says.
var rateLimited = coderclient.Error{Status: 429, RetryAfter: time.Minute, RateLimit: 512}
