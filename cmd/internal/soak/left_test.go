package soak

import (
	"time"

	"coderhook/coderclient/codertest"
)

// leftPatience is longer than any fault of the schedule: that they are out within five seconds holds while nothing
// fails, and how long it took is in the report.
const leftPatience = 2 * time.Minute

// watchOut waits until somebody who left can do nothing more in Coder.
func (s *soak) watchOut(p *person) {
	s.leaving.Go(func() {
		began := time.Now()
		if !s.until(leftPatience, func() bool { return !s.opens(p) }) {
			s.breach("%s left %s ago, and a key of theirs still works", p.id, leftPatience)
			return
		}
		s.tally.leftAfter(time.Since(began))
	})
}

// opens reports whether a token that we ever made for this person is good in Coder.
func (s *soak) opens(p *person) bool {
	for _, issue := range s.coder.AllIssued() {
		if !issue.Gone && issue.ExpiresAt.After(time.Now()) && p.owns(issue.Username) && !s.suspended(issue) {
			return true
		}
	}
	return false
}

func (s *soak) suspended(issue codertest.Issue) bool {
	user, found := s.coder.User(issue.Username)
	return !found || user.Status == "suspended"
}

// leftAfter is how long it took until somebody who left was out.
func (t *tally) leftAfter(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outAfter = append(t.outAfter, d)
}
