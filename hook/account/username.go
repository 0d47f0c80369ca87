package account

import (
	"strings"

	"github.com/google/uuid"
)

// usernameDigits are the lengths that are tried for a name made of the user's uuid: 8 is its
// first group. Never 32: Coder takes 32 hex digits in a path for an id, not for a name.
// That the name is made of the uuid is what Maker.ours relies on: with names made of anything that a
// user chooses, somebody could wait for us in Coder with another's name.
var usernameDigits = [...]int{8, 12, 16, 20, 24, 28}

// Usernames returns the names that are tried for a user's account, in their order.
func Usernames(user uuid.UUID) []string {
	digits := strings.ReplaceAll(user.String(), "-", "")
	names := make([]string, len(usernameDigits))
	for i, n := range usernameDigits {
		names[i] = digits[:n]
	}
	return names
}
