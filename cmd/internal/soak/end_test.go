package soak

import (
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"coderhook/coderclient/codertest"
)

// settleIn makes the first users and their keys, while nothing fails.
func (s *soak) settleIn() {
	random := s.random(1)
	count := 150
	if short(s.length) {
		count = 30
	}
	for range count {
		id := newID(random)
		p := &person{id: id, email: emailOf(id)}
		if _, err := s.db.pool.Exec(s.t.Context(), `insert into auth.users (id, email) values ($1, $2)`, p.id, p.email); err != nil {
			s.t.Fatal(err)
		}
		s.people.enter(p, true)
	}
	s.everybodyGets(s.people.everybody(), healing, (*soak).oneKey)
	s.measureBaseline()
}

// oneKey mints once.
func (s *soak) oneKey(random *rand.Rand, p *person) (good bool) {
	return s.mint(s.t.Context(), random, p, mintOptions{}).good
}

// lastKeys are for tokens that outlive all keys that were made so far. All tabs ask at the same
// time, of both servers: it must be one key all the same.
func (s *soak) lastKeys(random *rand.Rand, p *person) (good bool) {
	return s.openTabs(s.t.Context(), random, p, mintOptions{life: 10 * time.Minute})
}

// everybodyGets mints for each of them until there is a good key, and returns for whom there is none in time.
func (s *soak) everybodyGets(whom []*person, within time.Duration, mint func(*soak, *rand.Rand, *person) bool) (without []*person) {
	var minting sync.WaitGroup
	var mu sync.Mutex
	next := make(chan *person, len(whom))
	for _, p := range whom {
		next <- p
	}
	close(next)
	deadline := time.Now().Add(within)
	for i := range workers {
		minting.Go(func() {
			random := s.random(1000 + i)
			for p := range next {
				good := s.until(time.Until(deadline), func() bool { return mint(s, random, p) })
				if !good {
					mu.Lock()
					without = append(without, p)
					mu.Unlock()
				}
			}
		})
	}
	minting.Wait()
	return without
}

// healing is how long it may take after the last fault until everybody has a good key again: a
// killed server's lease ends after five seconds, the circuit breaker's pause after two, and a key
// that Coder does not know is found out after a second, asked for twice, and then made anew.
const healing = 30 * time.Second

// heals checks that later mints alone give everybody a good key again, and then one that lives long.
func (s *soak) heals() {
	began := time.Now()
	living := s.living()
	for _, p := range s.everybodyGets(living, healing, (*soak).oneKey) {
		s.breach("%s has no good key %s after the last fault", p.id, time.Since(began))
	}
	s.tally.healedIn.Store(int64(time.Since(began)))
	s.coder.Configure(func(set *codertest.Settings) { set.DefaultTokenLifetime = time.Hour })
	for _, p := range s.everybodyGets(living, healing, (*soak).lastKeys) {
		s.breach("%s has no key that lives long", p.id)
	}
}

// living are those who are in auth.users, whatever a commit's answer was that got lost.
func (s *soak) living() (list []*person) {
	type row struct{ ID [16]byte }
	for _, r := range rows[row](s, `select id from auth.users where deleted_at is null and coalesce(banned_until, 'epoch') < now()`) {
		if p := s.people.of(r.ID); p != nil && !p.foreign {
			list = append(list, p)
		}
	}
	return list
}

// end stops the servers, who must have kept nothing open.
func (s *soak) end() {
	var ending sync.WaitGroup
	for _, r := range s.replicas {
		for _, l := range r.lives {
			ending.Go(func() { s.endOf(r, l) })
		}
	}
	ending.Wait()
	type row struct{ Connections int64 }
	open := func() bool {
		left := rows[row](s, `select count(*) as connections from pg_stat_activity where usename = 'coderhook'`)
		return left[0].Connections == 0 && s.coder.connections() == 0
	}
	if !s.until(5*time.Second, open) {
		s.breach("connections are left: %d to Coder", s.coder.connections())
	}
	if unknown := s.coder.Unexpected(); len(unknown) > 0 {
		s.breach("Coder was asked for what it does not know: %+v", unknown[0])
	}
	s.tally.keys.Store(int64(len(s.coder.AllIssued())))
}

// endOf: a server that was not killed ends by itself, and with status 0.
func (s *soak) endOf(r *replica, l *life) {
	s.tell(l)
	if err := l.Wait(leaving); err != nil && !l.wasKilled() {
		s.breach("%s ended with %v", r.name, err)
		_ = l.Kill()
	}
	s.secrets.said(r.name+"'s log", l.Log())
	s.secrets.said(r.name+"'s output", l.Output())
	l.mu.Lock()
	defer l.mu.Unlock()
	s.secrets.said(r.name+"'s metrics", l.metrics)
}

func passwordOf(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return databaseURL
	}
	password, _ := u.User.Password()
	return password
}
