package claims

import (
	"slices"
	"strconv"
)

// Member says what is to be decoded of a member, and of those inside it: what nobody looks at costs no more than to pass
// it over. Its zero value is nothing of it.
type Member struct {
	Name   string
	Whole  bool
	Inside []Member
}

// Want adds the member to which the names lead, with all that is in it.
func (m *Member) Want(names ...string) {
	for _, name := range names {
		m = m.inside(name)
	}
	m.Whole = true
}

// Add adds what other wants.
func (m *Member) Add(other Member) {
	m.Whole = m.Whole || other.Whole
	for _, inside := range other.Inside {
		m.inside(inside.Name).Add(inside)
	}
}

func (m *Member) inside(name string) *Member {
	at := slices.IndexFunc(m.Inside, func(inside Member) bool { return inside.Name == name })
	if at < 0 {
		at = len(m.Inside)
		m.Inside = append(m.Inside, Member{Name: name})
	}
	return &m.Inside[at]
}

// Decode decodes what m wants of an object. Where something else stands than an object, it is decoded as a whole. Of
// duplicate names the last one counts.
func Decode(text []byte, m *Member) (map[string]any, error) {
	r := NewReader(text)
	read := r.members(m)
	return read, r.Close()
}

func (r *Reader) members(m *Member) map[string]any {
	r.Enter()
	read := make(map[string]any, len(m.Inside))
	for r.Next() {
		if m.Whole {
			name := r.keep(r.Name)
			read[name] = r.any(m)
		} else if inside := m.find(r.Name); inside != nil {
			read[inside.Name] = r.any(inside)
		} else {
			r.Value()
		}
	}
	return read
}

func (m *Member) find(name []byte) *Member {
	for i := range m.Inside {
		if m.Inside[i].Name == string(name) {
			return &m.Inside[i]
		}
	}
	return nil
}

// any decodes a value as Go's own package does.
func (r *Reader) any(m *Member) any {
	switch r.Kind() {
	case '{':
		return r.members(m)
	case '[':
		return r.list()
	case '"':
		return r.Text()
	case 't', 'f':
		return r.Bool()
	case '0':
		number, err := strconv.ParseFloat(string(r.Value()), 64)
		if r.err == nil {
			r.err = err // it is out of range
		}
		return number
	}
	r.Value()
	return nil
}

var whole = &Member{Whole: true}

func (r *Reader) list() []any {
	read := []any{}
	_, r.err = r.decoder.ReadToken()
	for r.err == nil && r.decoder.PeekKind() != ']' {
		read = append(read, r.any(whole))
	}
	if r.err == nil {
		_, r.err = r.decoder.ReadToken()
	}
	return read
}

// fullName is what stands in user_metadata.
var fullName = Member{Inside: []Member{{Name: "user_metadata", Inside: []Member{{Name: "full_name", Whole: true}}}}}

// FullName returns what the user calls themselves, or "".
func FullName(claims []byte) string {
	read, err := Decode(claims, &fullName)
	if err != nil {
		return ""
	}
	data, _ := read["user_metadata"].(map[string]any)
	name, _ := data["full_name"].(string)
	return name
}
