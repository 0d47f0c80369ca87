package store

import (
	"context"
	"fmt"
	"time"
)

// Statuses are all that an account can have.
var Statuses = []Status{Pending, Active, Conflict, Suspended, Orphaned, Offboarded}

// PoolStats describes the connection pool.
type PoolStats struct {
	InUse, Idle, Max int
	Granted          int   // how many the server lets us have, as far as is known
	Waits            int64 // how often somebody had to wait for a connection
	Refused          int64 // how often somebody got no new one
	Resets           int64 // how often all were replaced
}

// PoolStats returns the pool's numbers of now.
func (s *Store) PoolStats() PoolStats {
	stat := s.pool.Stat()
	return PoolStats{
		InUse: int(stat.AcquiredConns()), Idle: int(stat.IdleConns()), Max: int(stat.MaxConns()),
		Granted: s.gate.granted(), Waits: stat.EmptyAcquireCount() + s.gate.waited(),
		Refused: s.refusals.Load(), Resets: s.resets.count.Load(),
	}
}

// KeyState is how an account's key stands, as far as the ledger knows.
type KeyState string

const (
	KeyGood    KeyState = "good"
	KeyAging   KeyState = "aging" // in the last third of its lifetime
	KeyExpired KeyState = "expired"
	KeyRefused KeyState = "refused" // by Coder, or its user was off-boarded
	KeyUnknown KeyState = "unknown" // nobody told when it ends
	KeyNone    KeyState = "none"
)

// KeyStates are all that a key can have.
var KeyStates = []KeyState{KeyGood, KeyAging, KeyExpired, KeyRefused, KeyUnknown, KeyNone}

// Census counts the ledger's accounts in two ways. Every status and state is in it.
type Census struct {
	Accounts map[Status]int64
	Keys     map[KeyState]int64
	GivenOut int64 // keys that are alive and that tokens have carried
}

// One walk through the ledger for all of it, and one through the keys that stand beside the profile's. A lifetime that is not known makes a key age at
// once: what renews it sees it so, too.
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

// Census counts all accounts, and how their keys stand at that time.
func (s *Store) Census(ctx context.Context, now time.Time) (Census, error) {
	rows, err := all[struct {
		Status, KeyState string
		GivenOut         bool
		Accounts         int64
	}](ctx, s, censusSQL, now)
	if err != nil {
		return Census{}, fmt.Errorf("count accounts: %w", err)
	}
	c := Census{Accounts: make(map[Status]int64), Keys: make(map[KeyState]int64)}
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
	return c, nil
}
