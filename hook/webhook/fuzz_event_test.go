package webhook_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"coderhook/hook/authtest"
	"coderhook/hook/claims"
	"coderhook/hook/webhook"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// No body makes the parser panic, what it accepts can be spliced, and it reads in one pass what a decoder reads in many.
func FuzzParseEvent(f *testing.F) {
	for _, r := range authtest.Recordings(f) {
		f.Add([]byte(r.Request.Body))
	}
	const user = `"user_id":"3f2b8c1e-7d4a-4e0b-9a55-0c1d2e3f4a5b"`
	const sub = `"sub":"3f2b8c1e-7d4a-4e0b-9a55-0c1d2e3f4a5b","exp":1`
	for _, seed := range []string{
		`{` + user + `,"claims":{` + sub + `}}`, `{"claims":[],"claims":{` + sub + `},` + user + `}`, `{"claims":{` + sub + `},"claims":null,` + user + `}`,
		` { ` + user + ` , "claims" : { ` + sub + ` , "em\u0061il" : "\ud800\"" , "email" : null , "role":"x\ty" } } `,
		`{"metadata":{"uuid":1,"uuid":"a"},"metadata":[{"uuid":"b"}],` + user + `,"claims":{` + sub + `,"iss":5,"session_id":{},"aal":""}}`,
		`{"authentication_method":null,` + user + `,"claims":{"is_anonymous":true,` + sub + `,"exp":-0,"exp":1.0}}`,
		`{` + user + `,"claims":{` + sub + `,"app_metadata":{"api_key":1},"app_metadata":null}} x`, `{"user_id":1,` + user + `,"claims":{` + sub + `}}`,
		`{` + user + `,"claims":{"sub":[],` + sub + `}}`, `{"claims":{"aal":1},` + user + `,"claims":{` + sub + `}}`, `null`, `[]`, ``, `{"claims":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		ev, err := webhook.Parse(body)
		want, accepted := decoded(body)
		if (err == nil) != accepted {
			t.Fatalf("%s: %v; by a decoder it is %v that it is taken", body, err, accepted)
		}
		if err != nil {
			return
		}
		if ev.UserID != want.UserID || ev.Method != want.Method || ev.Deciding != want.deciding || ev.CallID != want.callID || !bytes.Equal(ev.Claims, want.Claims) {
			t.Fatalf("%s was read as\n%s %q %q %+v %s, by a decoder as\n%+v", body, ev.UserID, ev.Method, ev.CallID, ev.Deciding, ev.Claims, want)
		}
		if answer := ev.With(claims.KeyMember, "K"); json.Valid(body) && !json.Valid(answer) {
			t.Fatalf("%s gives %s", body, answer)
		}
		if !bytes.Equal(body, before) {
			t.Fatalf("%s was written to: %s", before, body)
		}
	})
}

// read is an event as a decoder reads it.
type read struct {
	Metadata jsontext.Value `json:"metadata"`
	UserID   string         `json:"user_id"`
	Claims   jsontext.Value `json:"claims"`
	Method   string         `json:"authentication_method"`

	deciding claims.Claims
	callID   string
}

func decoded(body []byte) (r read, ok bool) {
	if claims.Unmarshal(body, &r) != nil || r.Claims.Kind() != '{' || claims.Unmarshal(r.Claims, &r.deciding) != nil || r.deciding.Expires <= 0 {
		return r, false
	}
	var metadata struct {
		UUID claims.Text `json:"uuid"`
	}
	if r.Metadata.Kind() == '{' && claims.Unmarshal(r.Metadata, &metadata) == nil && len(metadata.UUID) <= 64 {
		r.callID = string(metadata.UUID)
	}
	user, err := uuid.Parse(r.UserID)
	subject, wrong := uuid.Parse(r.deciding.Subject)
	if err != nil || wrong != nil || len(r.UserID) != 36 || user == uuid.Nil || user != subject {
		return r, false
	}
	var inside struct {
		Metadata jsontext.Value `json:"app_metadata"`
	}
	if claims.Unmarshal(r.Claims, &inside) != nil {
		return r, false
	}
	kind := inside.Metadata.Kind()
	return r, len(inside.Metadata) == 0 || kind == '{' || kind == 'n'
}
