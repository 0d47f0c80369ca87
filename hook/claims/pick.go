package claims

import (
	"errors"
	"slices"
)

// Pick decodes the members of claims that have those names, and does not look into the others. Of duplicate names the
// last one counts.
func Pick(claims []byte, names []string) (map[string]any, error) {
	r := NewReader(claims)
	r.Enter()
	picked := make(map[string]any, len(names))
	for r.Next() {
		at := slices.Index(names, string(r.Name))
		value := r.Value()
		if at < 0 {
			continue
		}
		var read any
		if err := Unmarshal(value, &read); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		picked[names[at]] = read
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	return picked, nil
}

// FullName returns what the user calls themselves, or "".
func FullName(claims []byte) string {
	picked, err := Pick(claims, []string{"user_metadata"})
	if err != nil {
		return ""
	}
	data, _ := picked["user_metadata"].(map[string]any)
	name, _ := data["full_name"].(string)
	return name
}
