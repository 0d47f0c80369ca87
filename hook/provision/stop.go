package provision

import (
	"context"
	"errors"
	"time"
)

// Wait returns when nothing is under way but the backlog.
func (p *Provisioner) Wait() { p.running.Wait() }

// Load is how much is under way.
type Load struct {
	Jobs       int  // users who are being worked for
	Queued     int  // users in the backlog
	Overdue    int  // of these, whose time has come
	WorkingOff bool // the backlog
}

// Load tells how much is under way.
func (p *Provisioner) Load() Load {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Load{Jobs: len(p.jobs), Queued: len(p.backlog.byDue), WorkingOff: p.backlog.busy}
	for _, e := range p.backlog.byDue {
		if e.due.Before(time.Now()) {
			l.Overdue++
		}
	}
	return l
}

// Stop lets running work end, and what is made be written, until ctx ends.
func (p *Provisioner) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.stopping = true
	if waiting := len(p.backlog.byDue); waiting > 0 {
		p.Log.Info().Int("backlog", waiting).Msg("users still wait for a key: their next mint makes it")
	}
	p.mu.Unlock()
	p.end()
	ended := make(chan struct{})
	go func() { p.workingOff.Wait(); p.running.Wait(); close(ended) }()
	defer p.cancel()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.New("stop: gave up on keys that are not stored yet")
	}
}
