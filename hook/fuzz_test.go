package hook

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The splice against a slow reference: decode with Go's own package, as Supabase Auth does,
// set the member, and compare what both mean.
func FuzzSplice(f *testing.F) {
	for _, r := range recordings(f) {
		var body struct{ Claims json.RawMessage }
		if err := json.Unmarshal([]byte(r.Request.Body), &body); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(body.Claims))
	}
	for _, seed := range []string{
		`{"app_metadata":{"api_key":1,"a":{},"api_key_status":2}}`, `{"a":1,"app_metadata":null}`, `{ "app\u005fmetadata" : { } }`,
		`{"app_metadata":{"api_key":1},"app_metadata":{"api\u005fkey":"x"},"n":1e400}`, `{"\ud800":"\udfff"}`, `{"app_metadata":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, claims []byte) {
		slot, err := findSlot(claims)
		if err != nil || !json.Valid(claims) {
			return
		}
		const key = "K<\">\\"
		got := slot.set(nil, claims, keyMember, key)
		if !strings.HasPrefix(string(got), string(claims[:slot.cuts[0].start])) ||
			!strings.HasSuffix(string(got), string(claims[slot.cuts[len(slot.cuts)-1].end:])) {
			t.Fatalf("what stands around the member has changed:\n%s\n%s", claims, got)
		}
		want, ok := reference(claims, key)
		if !ok {
			return // a number that Go's package can't hold
		}
		var decoded map[string]any
		if err := json.Unmarshal(got, &decoded); err != nil {
			t.Fatalf("no JSON any more: %s: %v", got, err)
		}
		if !reflect.DeepEqual(decoded, want) {
			t.Fatalf("%s became %s", claims, got)
		}
	})
}

// reference sets the key in decoded claims.
func reference(claims []byte, key string) (map[string]any, bool) {
	var decoded map[string]any
	if err := json.Unmarshal(claims, &decoded); err != nil {
		return nil, false
	}
	metadata, ok := decoded["app_metadata"].(map[string]any)
	if !ok {
		metadata = make(map[string]any)
	}
	delete(metadata, statusMember)
	metadata[keyMember] = key
	decoded["app_metadata"] = metadata
	return decoded, true
}

// No header makes an unsigned body pass, or the verifier panic.
func FuzzVerify(f *testing.F) {
	for _, r := range recordings(f) {
		f.Add(r.header().Get("webhook-id"), r.header().Get("webhook-timestamp"), r.header().Get("webhook-signature"))
	}
	f.Add("", "9223372036854775807", "v1,")
	f.Add("id", "-1", "v1,A, v1,A== v1a,x")
	now := time.Unix(1_795_417_649, 0)
	verifier, err := NewVerifier("v1,whsec_"+strings.Repeat("QUJD", 11), func() time.Time { return now })
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string) {
		header := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}
		if verifier.Verify([]byte(`{}`), header) == nil {
			t.Fatalf("%q %q %q passes for a signature", id, timestamp, signature)
		}
	})
}

// No body makes the parser panic, and what it accepts can be spliced.
func FuzzParseEvent(f *testing.F) {
	for _, r := range recordings(f) {
		f.Add([]byte(r.Request.Body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := parseEvent(body)
		if err != nil {
			return
		}
		if answer := ev.with(keyMember, "K"); json.Valid(body) && !json.Valid(answer) {
			t.Fatalf("%s gives %s", body, answer)
		}
	})
}
