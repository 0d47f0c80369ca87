// Package exposure judges who can read or write the keys past the server: by rights and policies of the
// product's table, and of all that its rows go to or are shown by.
package exposure

import (
	"regexp"
	"strings"
)

// Level says whose rows somebody gets at.
type Level int

// From least to worst.
const (
	Nobody   Level = iota
	OwnRow         // the user's own
	Unclear        // a rule that is not understood here
	Everyone       // other users' rows, whoever asks
)

// Of judges a rule as Postgres prints it. It may say unclear, but never less than the rule allows.
func Of(rule, idColumn string) Level {
	rule = bare(rule)
	if parts := splitTop(rule, " OR "); len(parts) > 1 {
		worst := Nobody
		for _, part := range parts {
			worst = max(worst, Of(part, idColumn))
		}
		return worst
	}
	if parts := splitTop(rule, " AND "); len(parts) > 1 {
		least := Everyone
		for _, part := range parts {
			least = min(least, Of(part, idColumn))
		}
		return least
	}
	return leaf(rule, idColumn)
}

var (
	casts    = regexp.MustCompile(`::(text|uuid)\b`)
	uidQuery = regexp.MustCompile(`\(\s*SELECT (auth\.\w+\(\))(?: AS \w+)?\s*\)`)
	// asking is what can make a rule depend on who asks, or on what this program can't see.
	asking = regexp.MustCompile(`\w"?\(|\bSELECT\b|\b(CURRENT|SESSION)_(USER|ROLE)\b|\bUSER\b`)
)

func leaf(rule, idColumn string) Level {
	switch rule {
	case "", "false":
		return Nobody
	}
	plain := uidQuery.ReplaceAllString(rule, "$1")
	// The role's name says nothing of the user: everybody who is signed in has the same.
	if !asking.MatchString(strings.ReplaceAll(plain, "auth.role()", "")) {
		return Everyone
	}
	plain = strings.NewReplacer("(", "", ")", "", " ", "").Replace(casts.ReplaceAllString(plain, ""))
	for _, me := range []string{"auth.uid", "uid", "auth.jwt->>'sub'"} {
		if plain == me+"="+idColumn || plain == idColumn+"="+me {
			return OwnRow
		}
	}
	return Unclear
}

// bare takes away the parentheses around the whole of a rule.
func bare(rule string) string {
	for {
		rule = strings.TrimSpace(rule)
		if !strings.HasPrefix(rule, "(") || closing(rule) != len(rule)-1 {
			return rule
		}
		rule = rule[1 : len(rule)-1]
	}
}

// closing is where the parenthesis closes that rule begins with, or -1.
func closing(rule string) int {
	end := -1
	outside(rule, func(at, depth int) bool {
		if rule[at] == ')' && depth == 0 {
			end = at
		}
		return end < 0
	})
	return end
}

// splitTop splits where the word stands outside of parentheses and quotes.
func splitTop(rule, word string) []string {
	var parts []string
	start := 0
	outside(rule, func(at, depth int) bool {
		if depth == 0 && at >= start && strings.HasPrefix(rule[at:], word) {
			parts = append(parts, rule[start:at])
			start = at + len(word)
		}
		return true
	})
	return append(parts, rule[start:])
}

// outside walks over what is in no quotes, with the depth of parentheses, until see is false.
func outside(rule string, see func(at, depth int) bool) {
	depth, quote := 0, byte(0)
	for at := range len(rule) {
		switch c := rule[at]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			continue
		case c == '\'' || c == '"':
			quote = c
			continue
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
		if !see(at, depth) {
			return
		}
	}
}
