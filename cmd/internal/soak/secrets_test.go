package soak

import (
	"regexp"
	"strings"
	"sync"
)

// secrets are what nothing may ever say, and what was said.
type secrets struct {
	mu     sync.Mutex
	words  []string
	things map[string]string // by what said it
}

// never adds a word.
func (s *secrets) never(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = append(s.words, word)
}

// said adds a text, to be searched at the end, when all secrets are known.
func (s *secrets) said(by, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.things == nil {
		s.things = make(map[string]string)
	}
	s.things[by] += text
}

const secretLength = 22 // of a key, behind its hyphen

var (
	longWord = regexp.MustCompile(`[A-Za-z0-9]{22,}`)
	faulty   = regexp.MustCompile(`DATA RACE|panicked|^panic:|reason="panic"} [1-9]`)
)

// wantNoSecrets searches all that the servers ever said: logs, metrics, arguments.
func (s *soak) wantNoSecrets() {
	keys := map[string]bool{}
	for _, issue := range s.coder.AllIssued() {
		_, secret, _ := strings.Cut(issue.Whole, "-")
		keys[secret] = true
	}
	_, owner, _ := strings.Cut(s.coder.OwnerToken, "-")
	keys[owner] = true
	words := append(s.secrets.words, strings.TrimPrefix(hookSecret, "v1,whsec_"), jwtSecret, passwordOf(s.db.roleURL))
	for by, text := range s.secrets.things {
		for _, long := range longWord.FindAllString(text, -1) {
			for i := range len(long) - secretLength + 1 {
				if keys[long[i:i+secretLength]] {
					s.breach("%s says the secret of a key: %s…", by, long[i:i+4])
				}
			}
		}
		for _, word := range words {
			if strings.Contains(text, word) {
				s.breach("%s says a secret: %.4s…", by, word)
			}
		}
		if strings.Contains(text, "@soak.example") {
			s.breach("%s says an e-mail address", by)
		}
		if at := faulty.FindStringIndex(text); at != nil {
			s.breach("%s tells of a fault of the program: %s", by, text[max(0, at[0]-200):min(len(text), at[1]+1500)])
		}
	}
}
