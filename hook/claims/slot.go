package claims

import (
	"bytes"
	"errors"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// The members of app_metadata that are ours.
const (
	KeyMember    = "api_key"
	StatusMember = "api_key_status"
)

// Slot is where our member goes in the claims, found once and filled later.
// Claims are spliced, not decoded and encoded again: every byte but ours
// stays as it came, with its order, numbers, escapes and unknown fields.
type Slot struct {
	cuts          []span // what is taken out, in order; our member replaces the first
	before, after string // what stands around our member: commas, braces, the name app_metadata
}

type span struct{ start, end int }

// member is a name and its value, by their offsets in the object's text.
type member struct {
	name  []byte // as written, with its quotes
	start int    // of the name
	value span
}

// FindSlot locates app_metadata in claims, and in it what is ours.
// Of duplicate names the last one counts, as for Supabase Auth and for every JWT library in Go.
func FindSlot(claims []byte) (Slot, error) {
	members, err := readMembers(claims, 0)
	if err != nil {
		return Slot{}, err
	}
	for i := len(members) - 1; i >= 0; i-- {
		if members[i].is("app_metadata") {
			return slotInMetadata(claims, members[i].value)
		}
	}
	if len(members) == 0 {
		return Slot{}, errors.New("claims is empty")
	}
	end := members[len(members)-1].value.end
	return Slot{cuts: []span{{end, end}}, before: `,"app_metadata":{`, after: `}`}, nil
}

func slotInMetadata(claims []byte, at span) (Slot, error) {
	switch jsontext.Value(claims[at.start:at.end]).Kind() {
	case 'n':
		return Slot{cuts: []span{at}, before: `{`, after: `}`}, nil
	case '{':
	default:
		return Slot{}, errors.New("claims.app_metadata is neither an object nor null")
	}
	members, err := readMembers(claims[:at.end], at.start)
	if err != nil {
		return Slot{}, err
	}
	if len(members) == 0 {
		return Slot{cuts: []span{{at.start + 1, at.start + 1}}}, nil
	}
	if cuts := oursIn(members); len(cuts) > 0 {
		return Slot{cuts: cuts}, nil
	}
	end := members[len(members)-1].value.end
	return Slot{cuts: []span{{end, end}}, before: `,`}, nil
}

// oursIn lists what must go for our member to be the only one of its kind: an old key
// or status in the user's own app_metadata must not pass, be it written once or twice.
func oursIn(members []member) (cuts []span) {
	for i, m := range members {
		if !m.is(KeyMember) && !m.is(StatusMember) {
			continue
		}
		cut := span{m.start, m.value.end}
		if len(cuts) > 0 { // with the comma before it
			cut.start = members[i-1].value.end
		}
		cuts = append(cuts, cut)
	}
	return cuts
}

// Taken reports whether a member of ours stands in the claims already.
func (s Slot) Taken() bool { return s.before == "" && s.cuts[0].start < s.cuts[0].end }

// Set appends claims to dst, with our one member set.
func (s Slot) Set(dst, claims []byte, name, value string) []byte {
	dst = append(dst, claims[:s.cuts[0].start]...)
	dst = append(dst, s.before...)
	dst = append(append(append(dst, '"'), name...), '"', ':')
	// It only fails for invalid UTF-8, which it then has replaced.
	dst, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(value, "\uFFFD"))
	dst = append(dst, s.after...)
	for i, cut := range s.cuts {
		next := len(claims)
		if i+1 < len(s.cuts) {
			next = s.cuts[i+1].start
		}
		dst = append(dst, claims[cut.end:next]...)
	}
	return dst
}

// decoders are used again: a mint needs two, which would be most of its allocations.
var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// readMembers lists the members of the object that text has at offset start, not looking into their values.
func readMembers(text []byte, start int) ([]member, error) {
	dec := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(dec)
	dec.Reset(bytes.NewBuffer(text[start:]), lenient)
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	members := make([]member, 0, 24)
	for dec.PeekKind() != '}' {
		name, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		m := member{start: start + int(dec.InputOffset()) - len(name)}
		m.name = text[m.start : m.start+len(name)]
		value, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		m.value.end = start + int(dec.InputOffset())
		m.value.start = m.value.end - len(value)
		members = append(members, m)
	}
	return members, nil
}

// is compares the name with its escapes undone: "app\u005fmetadata" is app_metadata.
func (m member) is(name string) bool {
	if bytes.IndexByte(m.name, '\\') < 0 {
		return string(m.name[1:len(m.name)-1]) == name
	}
	unquoted, err := jsontext.AppendUnquote(nil, m.name)
	return err == nil && string(unquoted) == name
}
