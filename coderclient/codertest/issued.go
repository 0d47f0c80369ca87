package codertest

import (
	"maps"
	"slices"
)

// Issue is a token as it was when it was made over the API.
type Issue struct {
	Key
	Username, Email string // of its user
	Installation    int    // 1 for what Start made, and one more after each Reset
	Gone            bool   // deleted since, or reset away
}

// Issued finds a token that was ever made over the API by its id, whatever became of it.
func (s *Server) Issued(id string) (issue Issue, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	issue, found = s.issued[id]
	issue.Gone = s.keyByID(id) == nil
	return issue, found
}

// AllIssued are all tokens that were ever made over the API, in no order.
func (s *Server) AllIssued() []Issue {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Collect(maps.Values(s.issued))
	for i := range list {
		list[i].Gone = s.keyByID(list[i].ID) == nil
	}
	return list
}

// Installation is that of what exists now.
func (s *Server) Installation() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.installation
}

// issue keeps a new token, and the memory of it.
func (s *Server) issue(a *account, k *apiKey) {
	s.keys = append(s.keys, k)
	s.issued[k.id] = Issue{Key: k.public(), Username: a.username, Email: a.email, Installation: s.installation}
}
