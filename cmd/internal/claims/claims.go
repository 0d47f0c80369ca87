// Package claims is for showing the claims of a token mint to a person, without the keys in them.
package claims

import (
	"encoding/json"
	"regexp"
)

// wholeKey is a Coder key; what stands before the hyphen is its public id.
var wholeKey = regexp.MustCompile(`\b([A-Za-z0-9]{10})-[A-Za-z0-9]{22}\b`)

// Mask leaves of every key only its public id.
func Mask(text []byte) []byte { return wholeKey.ReplaceAll(text, []byte("$1-**********")) }

// In returns the claims of an event, or of the answer to one.
func In(body []byte) (json.RawMessage, bool) {
	var message struct {
		Claims json.RawMessage `json:"claims"`
	}
	err := json.Unmarshal(body, &message)
	return message.Claims, err == nil && len(message.Claims) > 0
}
