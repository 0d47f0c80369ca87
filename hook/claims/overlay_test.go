package claims_test

import (
	"testing"

	"coderhook/hook/claims"

	"github.com/google/go-cmp/cmp"
)

// What is laid over counts, whatever stood there before, in whatever spelling and however often.
func TestOverlayCounts(t *testing.T) {
	t.Parallel()
	from := []byte(`{"aal":"aal1","email":"ada@example.com","role":"x","is_anonymous":true}`)
	for _, text := range []string{
		`{"aal":"aal2","email":"root@example.com","plan":"pro"}`, `{"plan":"pro","aa\u006c":"aal2","aal":"aal3","aal":null}`, `{ "plan": "pro" } `,
	} {
		over, err := claims.Overlay([]byte(text), from, "aal", "email", "is_anonymous", "client_id")
		if err != nil {
			t.Fatal(err)
		}
		var wanted claims.Member
		for _, name := range []string{"aal", "email", "is_anonymous", "client_id", "plan", "role"} {
			wanted.Want(name)
		}
		got, err := claims.Decode(over, &wanted)
		want := map[string]any{"aal": "aal1", "email": "ada@example.com", "is_anonymous": true, "plan": "pro"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", text, err, diff)
		}
		var all map[string]any
		if err := claims.Unmarshal(over, &all); err != nil || all["aal"] != "aal1" {
			t.Errorf("%s: %v, %v", text, err, all)
		}
	}
	if over, err := claims.Overlay([]byte(`{}`), from, "aal"); err != nil || string(over) != `{"aal":"aal1"}` {
		t.Errorf("%s, %v", over, err)
	}
}
