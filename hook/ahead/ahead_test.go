package ahead

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/provision"
	"coderhook/store"

	"github.com/google/uuid"
)

// crowd is so many users who may have a key, for whom Coder gives the answers in turn, and then the last one for ever.
type crowd struct {
	users   int
	answers []error
	asked   int
	down    bool
}

func (c *crowd) LivingUsers(_ context.Context, after uuid.UUID, _ int) (ids []uuid.UUID, _ error) {
	for n := range c.users {
		if id := (uuid.UUID{15: byte(n + 1)}); after == uuid.Nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (c *crowd) UserFacts(_ context.Context, ids []uuid.UUID) (facts []store.UserFacts, _ error) {
	for _, id := range ids {
		facts = append(facts, store.UserFacts{UserID: id, Exists: true, Claims: []byte(`{"role":"authenticated","email":"ada@example.com"}`)})
	}
	return facts, nil
}

func (c *crowd) Entries(context.Context, []uuid.UUID) ([]store.Entry, error) { return nil, nil }
func (c *crowd) Entitled(store.UserFacts) error                              { return nil }
func (c *crowd) Available() bool                                             { return !c.down }
func (c *crowd) Probe(context.Context) error                                 { return nil }

func (c *crowd) Ahead(context.Context, store.UserFacts, string, time.Time) provision.Result {
	err := c.answers[min(c.asked, len(c.answers)-1)]
	c.asked++
	return provision.Result{Made: err == nil, Err: err, Answered: func() {}}
}

func (c *crowd) run(ctx context.Context) (outcomes []Outcome, err error) {
	r := &Runner{Users: c, Keys: c, Coder: c, Workers: 1, Patience: time.Minute, Now: time.Now}
	err = r.Run(ctx, func(o Outcome) { outcomes = append(outcomes, o) })
	return outcomes, err
}

// What passes is tried again; what does not is told of, and the others go on.
func TestOneUsersFailureKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{users: 3, answers: []error{coderclient.ErrUnavailable, nil, account.ErrConflict, nil}}
		got, err := c.run(t.Context())
		if err != nil || len(got) != 3 || !got[0].Made || got[1].None != NoneConflict || !got[2].Made {
			t.Errorf("%v, %+v", err, got)
		}
	})
}

// A run ends where Coder is down for too long, and where failures are no single users' fault.
func TestARunEndsWithoutCoder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{users: 3, answers: []error{coderclient.ErrUnavailable}, down: true}
		began := time.Now()
		if got, err := c.run(t.Context()); !errors.Is(err, ErrCoderDown) || len(got) > 0 || time.Since(began) != time.Minute {
			t.Errorf("%v after %s, %+v", err, time.Since(began), got)
		}
		c = &crowd{users: 100, answers: []error{coderclient.ErrUnauthorized}}
		if got, err := c.run(t.Context()); !errors.Is(err, coderclient.ErrUnauthorized) || len(got) != failuresInARow {
			t.Errorf("%v, %d users", err, len(got))
		}
	})
}
