package main

import (
	"net/http"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/config"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// KEY_IN_CLAIMS is set to false while the server has users: tokens no longer carry keys, the gateway goes on, and every
// key that was in a token is replaced, also that of somebody who never comes back.
func TestKeyInClaimsIsTurnedOff(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada, bob := db.AddUser(t, "ada@example.com"), db.AddUser(t, "bob@example.com")
	gateway := []string{"GATEWAY=on", "SUPABASE_JWT_SECRET=" + cmdtest.JWTSecret, "CORS_ORIGINS=" + gatewayPage, "RECONCILE_INTERVAL=1s", "ADMIN_ADDR=127.0.0.1:0"}
	p := cmdtest.Start(t, db, coder, gateway...)
	given := []string{mintsKey(t, p, ada, "ada@example.com"), mintsKey(t, p, bob, "bob@example.com")}
	cmdtest.Eventually(t, "both are counted", func() bool {
		return strings.Contains(cmdtest.Get(t, "http://"+p.Admin+"/metrics"), "\ncoderhook_keys_given_out 2\n")
	})
	p.Stop(t)

	p = cmdtest.Start(t, db, coder, append(gateway, "KEY_IN_CLAIMS=false")...)
	if key, status, err := p.Mint(t.Context(), http.DefaultClient, ada, "ada@example.com"); key != "" || status != "ready" || err != nil {
		t.Fatalf("key %q, status %q, %v", key, status, err)
	}
	cmdtest.Eventually(t, "none is left", func() bool {
		return strings.Contains(cmdtest.Get(t, "http://"+p.Admin+"/metrics"), "\ncoderhook_keys_given_out 0\n")
	})
	for i, user := range []uuid.UUID{ada, bob} {
		if key := storetest.Query[string](t, db, `select api_key from public.profiles where id = $1`, user); key == given[i] || !works(coder, key) {
			t.Errorf("user %d: the profile has %.10s", i, key)
		}
	}
	wantMe(t, p.Addr, cmdtest.AccessToken(t, ada, nil), coder)
	out, err := command(t, map[string]string{config.SecretsVariable: cmdtest.Secret}, "send", "--url", p.URL, "--user", ada.String())
	if err != nil || !strings.Contains(out, `+     "api_key_status": "ready"`) || !strings.Contains(out, "through the gateway") {
		t.Errorf("send: %s%v", out, err)
	}
	variables := cmdtest.Variables()
	variables["DATABASE_URL"], variables["CODER_URL"], variables["CODER_OWNER_TOKEN"] = db.RoleURL("coderhook"), coder.URL, coder.OwnerToken
	variables["KEY_IN_CLAIMS"] = "false"
	out, err = command(t, variables, "explain", "--user", ada.String())
	if err != nil || !strings.Contains(out, "says ready, and does not carry the key") || !strings.Contains(out, "which no token has carried") {
		t.Errorf("explain: %s%v", out, err)
	}

	// Tokens that carried the old keys are over: what they carried ends.
	db.Exec(t, `update coderhook.retired_keys set delete_after = now() - interval '1 second'`)
	for i, key := range given {
		cmdtest.Eventually(t, "the key that was given out ends", func() bool { return !works(coder, key) })
		if user := []uuid.UUID{ada, bob}[i]; strings.Contains(p.Log(), key) {
			t.Errorf("the key of %s is in the log", user)
		}
	}
	p.Stop(t)
}

// The command does as the replicas do, for who never comes back.
func TestReconcileCommandWithdrawsKeys(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	ada := db.AddUser(t, "ada@example.com")
	p := cmdtest.Start(t, db, coder)
	given := mintsKey(t, p, ada, "ada@example.com")
	p.Stop(t)
	out := map[string]string{"KEY_IN_CLAIMS": "false", "GATEWAY": "on", "SUPABASE_JWT_SECRET": cmdtest.JWTSecret}
	text, err := upkeepCommand(t, db, coder, out, "reconcile", "--dry-run")
	if err != nil || !strings.Contains(text, "would be: "+ada.String()+": key "+given[:10]+" replaced") || storedKey(t, db, ada) != given {
		t.Errorf("%v:\n%s", err, text)
	}
	text, err = upkeepCommand(t, db, coder, out, "reconcile")
	if key := storedKey(t, db, ada); err != nil || !strings.Contains(text, "1 keys replaced that tokens have carried, 0 left") || key == given || !works(coder, key) {
		t.Errorf("%v, the profile has %.10s:\n%s", err, key, text)
	}
}

func mintsKey(t *testing.T, p *cmdtest.Server, user uuid.UUID, email string) string {
	t.Helper()
	key, status, err := p.Mint(t.Context(), http.DefaultClient, user, email)
	if err != nil || key == "" {
		t.Fatalf("key %q, status %q, %v", key, status, err)
	}
	cmdtest.Eventually(t, "stored", func() bool { return strings.Contains(p.Log(), `"key_id":"`+key[:10]+`","key_expires_at"`) })
	return key
}

// works reports whether Coder takes the key.
func works(coder *codertest.Server, key string) bool {
	for _, user := range coder.Users() {
		for _, known := range coder.TokensOf(user.Username) {
			if known.Whole == key {
				return true
			}
		}
	}
	return false
}
