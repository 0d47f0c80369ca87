package claims_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"coderhook/hook/authtest"
	"coderhook/hook/claims"
)

// The splice against two slow references: one says every byte of the answer, the other, which
// decodes with Go's own package as Supabase Auth does, what it means.
func FuzzSplice(f *testing.F) {
	for _, r := range authtest.Recordings(f) {
		var body struct{ Claims json.RawMessage }
		if err := json.Unmarshal([]byte(r.Request.Body), &body); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(body.Claims))
	}
	for _, seed := range []string{
		`{"app_metadata":{"api_key":1,"a":{},"api_key_status":2}}`, `{"a":1,"app_metadata":null}`, `{ "app\u005fmetadata" : { } }`,
		`{"app_metadata":{"api_key":1},"app_metadata":{"api\u005fkey":"x"},"n":1e400}`, `{"\ud800":"\udfff"}`, `{"app_metadata":[]}`,
		`{"app_metadata":{ "a":1 , "api_key" : [{"api_key":2}] , "b":2 , "api_key_status":3 } , "c":"\\" }`, ` { } `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) || text[0] != '{' {
			return // it never gets here: parseEvent has refused it
		}
		const key = "K<\">\\"
		before := bytes.Clone(text)
		slot, err := claims.FindSlot(text)
		want, takes := spliced(string(text), `"api_key":"K<\">\\"`)
		if (err == nil) != takes {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil {
			return
		}
		got := slot.Set([]byte("dst"), text, claims.KeyMember, key)
		if string(got) != "dst"+want {
			t.Fatalf("%q became\n%q, want\n%q", text, got[3:], want)
		}
		if !bytes.Equal(text, before) {
			t.Fatalf("%q was written to: %q", before, text)
		}
		meaning, ok := decoded(text, key)
		if !ok {
			return // a number that Go's package can't hold
		}
		var means map[string]any
		if err := json.Unmarshal(got[3:], &means); err != nil || !reflect.DeepEqual(means, meaning) {
			t.Fatalf("%q became %q, which means something else (%v)", text, got, err)
		}
	})
}

// decoded sets the key in decoded claims.
func decoded(text []byte, key string) (map[string]any, bool) {
	var decoded map[string]any
	if err := json.Unmarshal(text, &decoded); err != nil {
		return nil, false
	}
	metadata, ok := decoded["app_metadata"].(map[string]any)
	if !ok {
		metadata = make(map[string]any)
	}
	delete(metadata, claims.StatusMember)
	metadata[claims.KeyMember] = key
	decoded["app_metadata"] = metadata
	return decoded, true
}

// spliced says what claims become, byte for byte, and whether they are taken at all: member stands
// in the last app_metadata, where the first of ours stood or else at the end, and no other of ours
// does, nor the comma before it.
func spliced(claims, member string) (string, bool) {
	head, parts, tail := pieces(claims)
	at := -1
	for i, p := range parts {
		if p.name == "app_metadata" {
			at = i
		}
	}
	switch {
	case len(parts) == 0:
		return "", false
	case at < 0:
		parts[len(parts)-1].value += `,"app_metadata":{` + member + `}`
	case parts[at].value == "null":
		parts[at].value = `{` + member + `}`
	case parts[at].value[0] != '{':
		return "", false
	default:
		parts[at].value = withMember(parts[at].value, member)
	}
	return joined(head, parts, tail), true
}

func withMember(object, member string) string {
	head, parts, tail := pieces(object)
	var kept []piece
	placed := false
	for _, p := range parts {
		switch ours := p.name == claims.KeyMember || p.name == claims.StatusMember; {
		case !ours:
			kept = append(kept, p)
		case !placed:
			kept = append(kept, piece{lead: p.lead, value: member})
			placed = true
		}
	}
	switch {
	case len(kept) == 0:
		head += member
	case !placed:
		kept[len(kept)-1].value += "," + member
	}
	return joined(head, kept, tail)
}

// piece is a member of an object: what stands before its name (a comma, blanks), its name as it is
// meant, all that is written from the name to the value, and the value.
type piece struct{ lead, name, written, value string }

// pieces takes a valid JSON object apart, not looking into its members' values.
func pieces(object string) (head string, parts []piece, tail string) {
	dec := json.NewDecoder(strings.NewReader(object))
	_, _ = dec.Token()
	end := int(dec.InputOffset())
	head = object[:end]
	for dec.More() {
		name, _ := dec.Token()
		var value json.RawMessage
		_ = dec.Decode(&value)
		start := end + strings.IndexByte(object[end:], '"')
		lead := object[end:start]
		end = int(dec.InputOffset())
		parts = append(parts, piece{lead, name.(string), object[start : end-len(value)], string(value)})
	}
	return head, parts, object[end:]
}

func joined(head string, parts []piece, tail string) string {
	for _, p := range parts {
		head += p.lead + p.written + p.value
	}
	return head + tail
}
