package claims

import (
	"errors"
	"strings"

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
	cut           span   // what our member replaces
	more          []span // what else is taken out, in order
	before, after string // what stands around our member: commas, braces, the name app_metadata
}

type span struct{ start, end int }

// FindSlot locates app_metadata in claims, and in it what is ours.
// Of duplicate names the last one counts, as for Supabase Auth and for every JWT library in Go.
func FindSlot(claims []byte) (Slot, error) {
	p, err := Read(claims)
	if err != nil {
		return Slot{}, err
	}
	return p.Slot, p.NoSlot
}

// slot reads app_metadata, and finds the place in it.
func (r *Reader) slot() (s Slot, err error) {
	switch r.Kind() {
	case 'n':
		return Slot{cut: r.value(), before: `{`, after: `}`}, nil
	case '{':
	default:
		r.Value()
		return s, errors.New("claims.app_metadata is neither an object nor null")
	}
	r.Enter()
	end, empty, taken := r.offset(), true, false
	for r.Next() {
		before, start := end, r.start
		ours := string(r.Name) == KeyMember || string(r.Name) == StatusMember
		end, empty = r.value().end, false
		switch {
		case !ours:
		case !taken:
			s.cut, taken = span{start, end}, true
		default: // an old key or status must not pass, be it written once or twice
			s.more = append(s.more, span{before, end}) // with the comma before it
		}
	}
	if !taken {
		s.cut = span{end, end}
		if !empty {
			s.before = `,`
		}
	}
	return s, nil
}

// Taken reports whether a member of ours stands in the claims already.
func (s Slot) Taken() bool { return s.before == "" && s.cut.start < s.cut.end }

// Set appends claims to dst, with our one member set.
func (s Slot) Set(dst, claims []byte, name, value string) []byte {
	dst = append(dst, claims[:s.cut.start]...)
	dst = append(dst, s.before...)
	dst = append(append(append(dst, '"'), name...), '"', ':')
	// It only fails for invalid UTF-8, which it then has replaced.
	dst, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(value, "\uFFFD"))
	dst = append(dst, s.after...)
	kept := s.cut.end
	for _, cut := range s.more {
		dst = append(dst, claims[kept:cut.start]...)
		kept = cut.end
	}
	return append(dst, claims[kept:]...)
}
