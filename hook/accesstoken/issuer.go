package accesstoken

import (
	"fmt"
	"slices"
	"strings"
)

// AnyIssuer, alone, takes a token of every issuer that the keys vouch for, also one that names none.
const AnyIssuer = "any"

// Issuers are those whose access tokens are taken. Without one it is any.
type Issuers []string

// DefaultIssuer is what Supabase Auth calls itself in a hosted project, and with the CLI.
func DefaultIssuer(supabaseURL string) string {
	return strings.TrimRight(supabaseURL, "/") + "/auth/v1"
}

// Check names what is wrong with the list.
func (i Issuers) Check() error {
	if len(i) > 1 && slices.Contains(i, AnyIssuer) {
		return fmt.Errorf("%q beside others; set either", AnyIssuer)
	}
	for _, issuer := range i {
		if strings.ContainsFunc(issuer, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return fmt.Errorf("%q is no issuer; write it as it stands in the tokens, like https://PROJECT.supabase.co/auth/v1", issuer)
		}
	}
	return nil
}

// Any reports whether every issuer is taken.
func (i Issuers) Any() bool { return len(i) == 0 || slices.Contains(i, AnyIssuer) }

// Takes reports whether an issuer is one of these. Scheme and host are the same in capitals; all else has to be equal.
func (i Issuers) Takes(issuer string) bool {
	return i.Any() || slices.ContainsFunc(i, func(known string) bool { return foldOrigin(known) == foldOrigin(issuer) })
}

// String is for messages.
func (i Issuers) String() string {
	if i.Any() {
		return AnyIssuer
	}
	return strings.Join(i, " or ")
}

// foldOrigin writes scheme and host of an address in lower case.
func foldOrigin(address string) string {
	scheme, rest, isURL := strings.Cut(address, "://")
	if !isURL {
		return address
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if strings.Contains(rest[:end], "@") { // what is before it is no host
		return address
	}
	return strings.ToLower(scheme) + "://" + strings.ToLower(rest[:end]) + rest[end:]
}

// otherIssuer says which issuer a token has, and which it should have. It stands in a quoted header.
type otherIssuer struct{ found, expected string }

func (e *otherIssuer) Error() string {
	return fmt.Sprintf("issued by %s, and expected is %s", ShownIssuer(e.found), e.expected)
}

func (e *otherIssuer) Is(target error) bool { return target == errOtherIssuer }

// ShownIssuer returns an issuer as it may stand in a log or an answer.
func ShownIssuer(issuer string) string {
	if issuer == "" {
		return "nobody (iss is missing)"
	}
	return Shown(issuer)
}

// Shown returns a claim cut short, with nothing in it that ends a quote or a line.
func Shown(claim string) string {
	plain := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, claim)
	return plain[:min(len(plain), 200)]
}
