package soak

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

var (
	wholeKey = regexp.MustCompile(`[A-Za-z0-9]{10}-[A-Za-z0-9]{22}`)
	// member is what is ours in app_metadata, with one of its commas.
	member = regexp.MustCompile(`"api_key(_status)?":"([^"]*)",|,?"api_key(_status)?":"([^"]*)"`)
)

// issuedKey is a key in a token, by what Coder knows of it; zero where there is none.
type issuedKey struct {
	codertest.Issue
	whole string
	good  bool // outlives the token, and Coder has it
}

// judgeAnswer checks what a token carries: every byte but ours as it came, and the user's own key.
func (s *soak) judgeAnswer(p *person, c call, event []byte, installation int, o mintOptions) issuedKey {
	claims := claimsIn.FindSubmatch(event)[1]
	ours := member.FindAllStringSubmatch(string(c.body), -1)
	rest := func(text string) string { return member.ReplaceAllString(text, "") }
	if len(ours) != 1 || rest(string(c.body)) != `{"claims":`+rest(string(claims))+`}` {
		s.breach("%s: more than our member changed: %s, from %s", p.id, c.body, claims)
		return issuedKey{}
	}
	value := ours[0][2] + ours[0][4]
	if ours[0][1]+ours[0][3] != "" {
		s.judgeStatus(p, c, value)
		return issuedKey{}
	}
	s.tally.outcomes.add("key")
	expires, _ := strconv.ParseInt(string(expiresAt.FindSubmatch(claims)[1]), 10, 64)
	return s.judgeKey(p, c, value, time.Unix(expires, 0), installation, o)
}

func (s *soak) judgeStatus(p *person, c call, status string) {
	s.tally.outcomes.add(status)
	if !p.foreign && !p.hasLeft() && s.calm(c) {
		s.tally.calmWithout.Add(1)
	}
	switch {
	case status == "pending", status == "unavailable":
	case status == "conflict" && (p.foreign || p.hasLeft()):
	default:
		s.breach("%s: status %q", p.id, status)
	}
}

// calm: nothing failed meanwhile, and the machine was not so busy that the server ran out of time.
func (s *soak) calm(c call) bool {
	return len(s.trouble.during(c.began, c.ended)) == 0 && c.took < deadline*3/4
}

// judgeKey: what Coder forgot when it was installed anew the server learns by and by.
func (s *soak) judgeKey(p *person, c call, whole string, expires time.Time, installation int, o mintOptions) issuedKey {
	issue, found := s.coder.Issued(coderclient.KeyID(whole))
	forgotten := issue.Installation < installation || issue.Installation < s.coder.Installation()
	calm := s.calm(c)
	switch {
	case !found || issue.Whole != whole:
		s.breach("%s: a key that Coder never made: %s", p.id, coderclient.KeyID(whole))
	case issue.Email != p.email || !p.owns(issue.Username):
		s.breach("%s: key %s of Coder user %s, %s", p.id, issue.ID, issue.Username, issue.Email)
	case !strings.HasPrefix(issue.TokenName, "supabase-"):
		s.breach("%s: key %s is named %q", p.id, issue.ID, issue.TokenName)
	case forgotten:
		s.tally.forgotten.Add(1)
	case issue.Gone && !p.hasLeft():
		s.breach("%s: key %s is deleted in Coder", p.id, issue.ID)
	case issue.ExpiresAt.Before(c.ended.Add(-notice - s.stalls.between(c.began, c.ended))):
		s.breach("%s: key %s had ended %s before it was given out", p.id, issue.ID, c.ended.Sub(issue.ExpiresAt))
	case issue.ExpiresAt.Before(expires) && calm:
		s.breach("%s: key %s ends %s before the token, though nothing failed", p.id, issue.ID, expires.Sub(issue.ExpiresAt))
	case issue.ExpiresAt.Before(expires):
		s.tally.short.Add(1)
	}
	if calm {
		s.tally.calm.Add(1)
	}
	if o.locked && issue.CreatedAt.After(c.began) {
		s.tally.waited(c.ended.Sub(issue.CreatedAt))
	}
	return issuedKey{issue, whole, !forgotten && !issue.Gone && !issue.ExpiresAt.Before(expires)}
}
