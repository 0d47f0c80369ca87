// Package grant is what a Coder key may do and how long it lives, where rules say so.
package grant

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Grant is what a key may do and how long it lives, where a rule says so. The zero Grant is what all get.
type Grant struct {
	Scopes    []string      `json:"scopes,omitempty"`
	AllowList []string      `json:"allow_list,omitempty"`
	Lifetime  time.Duration `json:"lifetime,omitempty"` // nanoseconds
}

// String is the same for the same grant, whatever the order of its parts, and "" for the zero Grant. The ledger keeps it.
func (g Grant) String() string {
	if len(g.Scopes) == 0 && len(g.AllowList) == 0 && g.Lifetime == 0 {
		return ""
	}
	g.Scopes, g.AllowList = set(g.Scopes), set(g.AllowList)
	text, _ := json.Marshal(g) // strings and a number: it can't fail
	return string(text)
}

func set(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// Parse reads what String has written.
func Parse(text string) (g Grant, err error) {
	if text == "" {
		return Grant{}, nil
	}
	if err := json.Unmarshal([]byte(text), &g); err != nil {
		return Grant{}, fmt.Errorf("read what a key is made with: %w", err)
	}
	return g, nil
}

// Includes reports whether a key made with g may do all that one made with h may. A lifetime is no part of that.
func (g Grant) Includes(h Grant) bool {
	return includes(g.Scopes, h.Scopes) && includes(g.AllowList, h.AllowList)
}

// everything are what stands for no limit, as an empty list does.
var everything = []string{"coder:all", "*:*"}

// includes reports whether each of small is in great, or is a part of something in it: workspace:* has workspace:read.
func includes(great, small []string) bool {
	unlimited := func(list []string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(one string) bool { return slices.Contains(everything, one) })
	}
	if unlimited(great) || unlimited(small) {
		return unlimited(great)
	}
	return !slices.ContainsFunc(small, func(one string) bool {
		kind, _, _ := strings.Cut(one, ":")
		return !slices.Contains(great, one) && !slices.Contains(great, kind+":*")
	})
}
