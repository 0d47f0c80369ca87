package account

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// usernameDigits are the lengths that are tried for a name made of the user's uuid: 8 is its
// first group. Never 32: Coder takes 32 hex digits in a path for an id, not for a name.
// That the name is made of the uuid is what Maker.ours relies on: with names made of anything that a
// user chooses, somebody could wait for us in Coder with another's name.
var usernameDigits = [...]int{8, 12, 16, 20, 24, 28}

// longestUsername is one less than Coder's own limit: see usernameDigits.
const longestUsername = 31

// Names makes the usernames of accounts.
type Names struct {
	Prefix string // before the digits; letters, digits and inner hyphens
}

// Of returns the names that are tried for a user's account, in their order.
func (n Names) Of(user uuid.UUID) (names []string) {
	digits := strings.ReplaceAll(user.String(), "-", "")
	for _, count := range usernameDigits {
		if name := n.Prefix + digits[:count]; len(name) <= longestUsername {
			names = append(names, name)
		}
	}
	return names
}

// Ours returns the names by which an account is known as the user's: also those without the prefix, which may be newer than the account.
func (n Names) Ours(user uuid.UUID) []string {
	names := n.Of(user)
	if n.Prefix != "" {
		names = append(names, Names{}.Of(user)...)
	}
	return names
}

// longestName is in bytes (codersdk.UserRealNameValid).
const longestName = 128

// RealName makes of a person's name one that Coder takes: in one line, without blanks at its ends, and not too long. It is what
// somebody calls themselves, so that nothing that can't be seen stays in it.
func RealName(name string) string {
	name = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	if len(name) > longestName {
		name = name[:longestName]
		for !utf8.ValidString(name) {
			name = name[:len(name)-1]
		}
	}
	return strings.TrimSpace(name)
}
