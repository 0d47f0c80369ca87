package claims

import "slices"

// Pick decodes the members of claims that have those names, and does not look into the others. Of duplicate names the
// last one counts.
func Pick(claims []byte, names []string) (map[string]any, error) {
	members, err := readMembers(claims, 0)
	if err != nil {
		return nil, err
	}
	picked := make(map[string]any, len(names))
	for _, m := range members {
		at := slices.IndexFunc(names, m.is)
		if at < 0 {
			continue
		}
		var value any
		if err := Unmarshal(claims[m.value.start:m.value.end], &value); err != nil {
			return nil, err
		}
		picked[names[at]] = value
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
