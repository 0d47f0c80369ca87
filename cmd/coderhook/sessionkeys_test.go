package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const byFactor = `
rules:
  - {name: strong, when: claims.aal == "aal2", give: {}}
  - {name: weak, when: "true", give: {scopes: ["template:read"]}}
`

// Through the gateway of the whole program a session without a second factor never acts with the key of one that has it, be it
// one and the same session before its second factor; and explain shows both keys.
func TestKeysOfSessions(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada := db.AddUser(t, "ada@example.com")
	file := policyFile(t, byFactor)
	p := cmdtest.Start(t, db, coder, "GATEWAY=on", "KEY_IN_CLAIMS=false", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+gatewayPage, "POLICY_FILE="+file)
	session := uuid.NewString()
	db.Exec(t, `insert into auth.sessions (id, user_id) values ($1, $2)`, session, ada)
	token := func(aal string) string {
		return cmdtest.AccessToken(t, ada, func(c jwt.MapClaims) { c["session_id"], c["aal"] = session, aal })
	}
	for range 2 {
		for _, aal := range []string{"aal2", "aal1", "aal1", "aal2"} {
			status, text := askGateway(t, p.Addr, token(aal), "/users/me")
			if (status == http.StatusOK) != (aal == "aal2") {
				t.Errorf("%s: %d %s", aal, status, text)
			}
		}
	}
	tokens := coder.TokensOf(coder.Users()[0].Username)
	wide := storetest.Query[string](t, db, `select api_key from public.profiles`)
	narrow := storetest.Query[string](t, db, `select api_key from coderhook.keys`)
	if len(tokens) != 2 || !slices.ContainsFunc(tokens, func(k codertest.Key) bool {
		return k.Whole == narrow && slices.Equal(k.Scopes, []string{"template:read"})
	}) {
		t.Errorf("%+v", tokens)
	}
	variables := cmdtest.Variables()
	variables["DATABASE_URL"], variables["CODER_URL"], variables["CODER_OWNER_TOKEN"] = db.RoleURL("coderhook"), coder.URL, coder.OwnerToken
	variables["POLICY_FILE"], variables["KEY_IN_CLAIMS"] = file, "false"
	out, err := command(t, variables, "explain", "--user", ada.String())
	for _, want := range []string{
		"key " + narrow[:10] + " until ", "of rule weak; no token has carried it",
		"a session of rule strong has the profile's key: its next mint says ready, and does not carry the key " + wide[:10],
		"a session of rule weak has a key beside the profile: its next mint says ready, and does not carry the key " + narrow[:10],
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s%v, want %q", out, err, want)
		}
	}
	if strings.Contains(out, wide) || strings.Contains(out, narrow) {
		t.Error("a key is shown")
	}
	p.Stop(t)
	if log := p.Log(); strings.Contains(log, narrow) || strings.Contains(log, wide) {
		t.Error("a key is in the log")
	}
}
