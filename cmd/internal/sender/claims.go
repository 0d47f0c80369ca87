package sender

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// wholeKey is a Coder key; what stands before the hyphen is its public id.
var wholeKey = regexp.MustCompile(`\b([A-Za-z0-9]{10})-[A-Za-z0-9]{22}\b`)

// Mask leaves of every key only its public id, so that a person may see the text.
func Mask(text []byte) []byte { return wholeKey.ReplaceAll(text, []byte("$1-**********")) }

// Claims returns the claims of an event, or of the answer to one.
func Claims(body []byte) (json.RawMessage, bool) {
	var message struct {
		Claims json.RawMessage `json:"claims"`
	}
	err := json.Unmarshal(body, &message)
	return message.Claims, err == nil && len(message.Claims) > 0
}

// Changes compares the indented claims by line: what is gone has a minus, what is new a plus.
func Changes(before, after json.RawMessage) string {
	old, now := indented(before), indented(after)
	var text strings.Builder
	for _, side := range []struct {
		mark        string
		lines, than []string
	}{{"-", old, now}, {"+", now, old}} {
		there := make(map[string]bool)
		for _, line := range side.than {
			there[line] = true
		}
		for _, line := range side.lines {
			if !there[line] {
				fmt.Fprintf(&text, "  %s %s\n", side.mark, line)
			}
		}
	}
	return text.String()
}

// indented returns the lines of the claims, keys masked, without the commas at their ends.
func indented(object json.RawMessage) []string {
	var text bytes.Buffer
	if err := json.Indent(&text, Mask(object), "", "  "); err != nil {
		return []string{string(Mask(object))}
	}
	lines := strings.Split(text.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], ",")
	}
	return lines
}
