package soak

import (
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// person is a user of the product.
type person struct {
	id      uuid.UUID
	email   string
	foreign bool // their e-mail is that of a Coder account which was not made for them

	mu       sync.Mutex
	left     bool      // banned or deleted at some time
	broken   bool      // an attempt of theirs broke: when it was answered is not known
	answered time.Time // the first time; zero before
}

// owns: Coder users that are made for somebody are named after the uuid.
func (p *person) owns(username string) bool {
	return len(username) >= 8 && strings.HasPrefix(strings.ReplaceAll(p.id.String(), "-", ""), username)
}

func (p *person) hasLeft() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

func (p *person) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
}

// noteCall remembers when a key could be written at the earliest.
func (p *person) noteCall(c call, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = p.broken || !answered || c.tried > 1
	if answered && (p.answered.IsZero() || c.ended.Before(p.answered)) {
		p.answered = c.ended
	}
}

// people are all who ever signed in.
type people struct {
	mu      sync.Mutex
	here    []*person // who can sign in
	all     []*person
	byID    map[uuid.UUID]*person
	leavers int
}

// enter adds somebody whom others may pick from now on, if they are here.
func (l *people) enter(p *person, here bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil {
		l.byID = make(map[uuid.UUID]*person)
	}
	if l.byID[p.id] == nil {
		l.byID[p.id], l.all = p, append(l.all, p)
	}
	if here {
		l.here = append(l.here, p)
	}
}

// full: more would only make reconciling take longer, which is slow on purpose.
func (l *people) full(length time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if short(length) {
		return len(l.all) >= 70
	}
	return len(l.all) >= 150+int(length/time.Second)
}

func (l *people) pick(random *rand.Rand) *person {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.here[random.IntN(len(l.here))]
}

// leaver takes somebody out, if it is time for another one: so many leave by and by that
// reconciling still believes it.
func (l *people) leaver(random *rand.Rand, elapsed float64) *person {
	l.mu.Lock()
	defer l.mu.Unlock()
	if most := max(8, len(l.here)/15); float64(l.leavers) >= 1+float64(most)*elapsed {
		return nil
	}
	l.leavers++
	i := random.IntN(len(l.here))
	p := l.here[i]
	l.here[i] = l.here[len(l.here)-1]
	l.here = l.here[:len(l.here)-1]
	p.leave()
	return p
}

func (l *people) everybody() []*person {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*person(nil), l.all...)
}

func (l *people) of(id uuid.UUID) *person {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}
