package soak

import (
	"sync"
	"syscall"
	"time"
)

// down ends the server by how, and starts another when the fault is over.
func (r *replica) down(f fault, how func(*life)) {
	r.turn.Lock()
	defer r.turn.Unlock()
	over := r.downs.begin()
	if l := r.current(); l != nil {
		how(l)
	}
	r.mu.Lock()
	r.now = nil
	r.mu.Unlock()
	r.pause(f.lasts)
	r.start()
	over(time.Now())
}

func (l *life) kill() {
	l.mu.Lock()
	l.killed = time.Now()
	l.mu.Unlock()
	_ = l.Kill()
}

// wasKilled tells whether it was, as opposed to whether it failed.
func (l *life) wasKilled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.killed.IsZero()
}

func serverIsKilled(s *soak, f fault) {
	s.tally.kills.Add(1)
	s.replicas[f.choice(2)].down(f, (*life).kill)
}

func serversAreKilled(s *soak, f fault) {
	var dying sync.WaitGroup
	for _, r := range s.replicas {
		s.tally.kills.Add(1)
		dying.Go(func() { r.down(f, (*life).kill) })
	}
	dying.Wait()
}

// serverIsTold sends SIGTERM. The next one starts while the old one may still be leaving.
func serverIsTold(s *soak, f fault) {
	s.tally.terms.Add(1)
	r := s.replicas[f.choice(2)]
	r.down(f, func(l *life) {
		s.tell(l)
		s.pause(drainDelay) // still serving
	})
}

// tell sends SIGTERM, once.
func (s *soak) tell(l *life) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told {
		return
	}
	l.told = true
	if err := l.Signal(syscall.SIGTERM); err != nil {
		s.breach("SIGTERM: %v", err)
	}
}
