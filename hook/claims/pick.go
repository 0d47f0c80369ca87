package claims

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Pick decodes the members of claims that have those names, and does not look into the others. Of duplicate names the
// last one counts.
func Pick(claims []byte, names []string) (map[string]any, error) {
	members, err := readMembers(claims, 0)
	if err != nil {
		return nil, err
	}
	picked := make(map[string]any, len(names))
	for _, m := range members {
		name, err := jsontext.AppendUnquote(nil, m.name)
		if err != nil || !slices.Contains(names, string(name)) {
			continue
		}
		var value any
		if err := Unmarshal(claims[m.value.start:m.value.end], &value); err != nil {
			return nil, err
		}
		picked[string(name)] = value
	}
	return picked, nil
}
