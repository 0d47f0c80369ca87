package store

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
