package claims

import "slices"

// Overlay returns claims in which those members count that from has, of those with such names: they are appended, as of
// duplicate names the last one counts.
func Overlay(claims, from []byte, names ...string) ([]byte, error) {
	members, err := readMembers(from, 0)
	if err != nil {
		return nil, err
	}
	own, err := readMembers(claims, 0)
	if err != nil {
		return nil, err
	}
	text := []byte{'{'}
	if len(own) > 0 {
		text = slices.Clone(claims[:own[len(own)-1].value.end])
	}
	for _, m := range members {
		if !slices.ContainsFunc(names, m.is) {
			continue
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = append(append(append(text, m.name...), ':'), from[m.value.start:m.value.end]...)
	}
	return append(text, '}'), nil
}
