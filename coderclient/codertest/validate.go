package codertest

import (
	"fmt"
	"math"
	"net/http"
	"net/mail"
	"regexp"
	"strings"
	"unicode"
)

const textInvalid = "Validation failed."

var (
	usernamePattern = regexp.MustCompile(`^[a-zA-Z0-9]+(?:-[a-zA-Z0-9]+)*$`)
	emailPattern    = regexp.MustCompile(`^(?:` + emailAtom + `(?:\.` + emailAtom + `)*|"[^"\\]*")@(?:` +
		`(?:` + emailDigit + `|` + emailDigit + emailInner + emailDigit + `)\.)+(?:` + emailLetter + `|` + emailLetter + emailInner + emailLetter + `)$`)
)

// The parts of an address as Coder's validator has them (github.com/go-playground/validator, its tag email): letters of
// all scripts, but none beyond the first plane; underscores only before the @.
const (
	beyondASCII = `\x{00A0}-\x{D7FF}\x{F900}-\x{FDCF}\x{FDF0}-\x{FFEF}`
	emailAtom   = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~" + beyondASCII + "-]+"
	emailLetter = `[a-zA-Z` + beyondASCII + `]`
	emailDigit  = `[a-zA-Z0-9` + beyondASCII + `]`
	emailInner  = `[a-zA-Z0-9.~` + beyondASCII + `-]*`
)

// validEmail reports whether Coder takes an address. Nobody limits its length.
func validEmail(email string) bool {
	_, err := mail.ParseAddress(email)
	return err == nil && emailPattern.MatchString(email)
}

// checkFields has one complaint for each field that is wrong.
func (e *exchange) checkFields(nu *newUser) *reply {
	var complaints []object
	complain := func(field, tag, value string) { complaints = append(complaints, invalid(field, tag, value)) }
	switch {
	case nu.serviceAccount && nu.email == "":
	case nu.email == "" && e.version >= v2x36:
		complain("email", "required_unless", "")
	case nu.email == "":
		complain("email", "required", "")
	case !validEmail(nu.email):
		complain("email", "email", nu.email)
	}
	switch {
	case nu.username == "":
		complain("username", "required", "")
	case !e.validUsername(nu.username):
		complain("username", "username", nu.username)
	}
	if len(nu.name) > 128 || strings.TrimSpace(nu.name) != nu.name {
		complain("name", "user_real_name", nu.name)
	}
	if e.version == v2x0 && !nu.disableLogin && nu.password == "" {
		complain("password", "required_if", "")
	}
	if len(complaints) == 0 {
		return nil
	}
	return objection(http.StatusBadRequest, textInvalid, "", complaints...)
}

func (e *exchange) validUsername(name string) bool {
	reserved := e.version > v2x0 && (name == "new" || name == "create")
	return len(name) <= 32 && usernamePattern.MatchString(name) && !reserved
}

// passwordWeakness is "" for a password that Coder takes. It weighs length against the kinds of characters; the
// penalty for runs like "1234" is left out.
func passwordWeakness(password string) string {
	const minEntropy = 52
	if len(password) > 64 {
		return "password must be no more than 64 characters"
	}
	kinds, advice := 0, []string{}
	for _, kind := range []struct {
		has    func(rune) bool
		size   int
		advice string
	}{
		{isSpecial, 32, "including more special characters"},
		{unicode.IsLower, 26, "using lowercase letters"},
		{unicode.IsUpper, 26, "using uppercase letters"},
		{unicode.IsDigit, 10, "using numbers"},
	} {
		if strings.ContainsFunc(password, kind.has) {
			kinds += kind.size
		} else {
			advice = append(advice, kind.advice)
		}
	}
	if kinds > 0 && float64(len(password))*math.Log2(float64(kinds)) >= minEntropy {
		return ""
	}
	if len(advice) == 0 {
		return "insecure password, try using a longer password"
	}
	return fmt.Sprintf("insecure password, try %s or using a longer password", strings.Join(advice, ", "))
}

func isSpecial(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
