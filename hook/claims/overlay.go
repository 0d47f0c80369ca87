package claims

import "slices"

// Overlay returns claims in which those members count that from has, of those with such names: they are appended, as of
// duplicate names the last one counts.
func Overlay(claims, from []byte, names ...string) ([]byte, error) {
	own := NewReader(claims)
	own.Enter()
	end, empty := own.offset(), true
	for own.Next() {
		end, empty = own.value().end, false
	}
	if err := own.Close(); err != nil {
		return nil, err
	}
	text := slices.Clone(claims[:end])
	r := NewReader(from)
	r.Enter()
	for r.Next() {
		start, counts := r.start, slices.Contains(names, string(r.Name))
		end := r.value().end
		if !counts {
			continue
		}
		if !empty {
			text = append(text, ',')
		}
		text, empty = append(text, from[start:end]...), false
	}
	return append(text, '}'), r.Close()
}
