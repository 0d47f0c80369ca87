package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Census counts the ledger's accounts in two ways. Every status and state is in it.
type Census struct {
	Accounts  map[Status]int64
	Keys      map[KeyState]int64
	GivenOut  int64     // keys that are alive and that tokens have carried
	CountedAt time.Time // see [Store.Census]
}

const (
	// countedAtOnce accounts are counted whenever somebody asks: a few milliseconds.
	countedAtOnce = 20_000
	// CensusTask is the name of the turn in which a replica counts the accounts of a larger ledger.
	CensusTask = "census"
	// censusShare is the part of the database's time that counting may take: one second in fifty, by one connection.
	censusShare    = 50
	shortestCensus = 15 * time.Second
	smallCensus    = time.Minute // of a ledger that is counted whenever somebody asks: it may have grown
	censusHold     = time.Minute // for one count; twice as long after one was killed at it, another replica counts
)

// One walk through the ledger for all of it, and one through the keys that stand beside the profile's. A lifetime that is
// not known makes a key age at once: what renews it sees it so, too.
const censusSQL = `
select status,
       case when key_id is null                 then 'none'
            when key_refused_at is not null     then 'refused'
            when key_expires_at is null         then 'unknown'
            when key_expires_at <= $1           then 'expired'
            when key_lifetime_seconds is null
              or key_expires_at - $1 <= pg_catalog.make_interval(secs => key_lifetime_seconds::float8 / 3::float8)
                                                then 'aging'
            else 'good' end as key_state,
       unseen_key_id is distinct from key_id as given_out,
       pg_catalog.count(*) as accounts
  from coderhook.accounts
 group by 1, 2, 3
 union all
select '',
       case when k.key_expires_at <= $1 then 'expired'
            when k.key_lifetime_seconds is null
              or k.key_expires_at - $1 <= pg_catalog.make_interval(secs => k.key_lifetime_seconds::float8 / 3::float8) then 'aging'
            else 'good' end,
       not k.unseen, pg_catalog.count(*)
  from coderhook.keys as k
 group by 1, 2, 3`

type censusRow struct {
	Status, KeyState string
	GivenOut         bool
	Accounts         int64
}

// count counts all accounts, and how their keys stand at that time.
func (s *Store) count(ctx context.Context, now time.Time) ([]censusRow, error) {
	return all[censusRow](ctx, s, censusSQL, now)
}

func census(rows []censusRow, at time.Time) Census {
	c := Census{Accounts: make(map[Status]int64), Keys: make(map[KeyState]int64), CountedAt: at}
	for _, status := range Statuses {
		c.Accounts[status] = 0
	}
	for _, state := range KeyStates {
		c.Keys[state] = 0
	}
	for _, row := range rows {
		if row.Status != "" { // else they are keys of sets
			c.Accounts[Status(row.Status)] += row.Accounts
		}
		state := KeyState(row.KeyState)
		c.Keys[state] += row.Accounts
		if row.GivenOut && (state == KeyGood || state == KeyAging || state == KeyUnknown) {
			c.GivenOut += row.Accounts
		}
	}
	return c
}

// kept is the last count, for all replicas.
type kept struct {
	Rows  []censusRow
	Took  time.Duration
	At    time.Time     `json:"-"` // by the database's clock, as is
	Since time.Duration `json:"-"` // how long ago that is
}

func (k kept) accounts() (n int64) {
	for _, row := range k.Rows {
		n += row.Accounts
	}
	return n
}

// wait is after how long it is time to count again.
func (k kept) wait() time.Duration {
	if k.accounts() < countedAtOnce {
		return smallCensus
	}
	return max(shortestCensus, censusShare*k.Took)
}

const keptSQL = `
select finished_at, result::text as result, extract(epoch from pg_catalog.clock_timestamp() - finished_at)::float8 as since
  from coderhook.tasks where name = '` + CensusTask + `' and result is not null and finished_at is not null`

// kept returns [ErrNotFound] where nobody has counted yet.
func (s *Store) kept(ctx context.Context) (k kept, _ error) {
	rows, err := all[struct {
		FinishedAt pgtype.Timestamptz
		Result     string
		Since      float64 // seconds
	}](ctx, s, keptSQL)
	if err == nil && len(rows) == 0 {
		err = ErrNotFound
	}
	if err == nil {
		k.At, k.Since = rows[0].FinishedAt.Time, time.Duration(rows[0].Since*float64(time.Second))
		err = json.Unmarshal([]byte(rows[0].Result), &k)
	}
	return k, err
}

// Census returns how many accounts there are, and how their keys stand at that time. A ledger that is small is counted;
// for others it is the last count of [Store.TakeCensus], if there is one, exact at its time, which Census.CountedAt tells.
func (s *Store) Census(ctx context.Context, now time.Time) (Census, error) {
	k, err := s.kept(ctx)
	switch {
	case err == nil && k.accounts() >= countedAtOnce:
		return census(k.Rows, k.At), nil
	case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrNotMigrated):
		return Census{}, fmt.Errorf("count accounts: %w", err)
	}
	rows, err := s.count(ctx, now)
	if err != nil {
		return Census{}, fmt.Errorf("count accounts: %w", err)
	}
	return census(rows, now), nil
}

const keepSQL = `
update coderhook.tasks
   set result = $3::text::jsonb, finished_at = pg_catalog.clock_timestamp(), lease_until = null, lease_owner = null
 where name = $1 and lease_owner = $2`

// TakeCensus counts and keeps the count for all replicas, if it is time: for a fiftieth of the time at the most, and of
// several replicas one does so. It takes several round trips.
func (s *Store) TakeCensus(ctx context.Context, owner string, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, censusHold)
	defer cancel()
	k, err := s.kept(ctx)
	if err == nil && k.Since >= 0 && k.Since < k.wait() {
		return nil
	}
	if err == nil || errors.Is(err, ErrNotFound) {
		err = s.takeCensus(ctx, Task{Name: CensusTask, Owner: owner}, now)
	}
	if err != nil && !errors.Is(err, ErrLeased) {
		return fmt.Errorf("take census: %w", err)
	}
	return nil
}

func (s *Store) takeCensus(ctx context.Context, task Task, now time.Time) (err error) {
	if _, err := s.ClaimTask(ctx, task, 2*censusHold); err != nil {
		return err
	}
	var k kept
	began := time.Now()
	if k.Rows, err = s.count(ctx, now); err != nil {
		return errors.Join(err, s.ReleaseTask(ctx, task, time.Time{}))
	}
	k.Took = time.Since(began)
	text, err := json.Marshal(k)
	if err == nil {
		_, err = s.exec(ctx, keepSQL, task.Name, task.Owner, string(text))
	}
	return err
}
