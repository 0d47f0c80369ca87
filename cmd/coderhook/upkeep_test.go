package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// upkeepCommand runs the program as from a shell, where nobody sits at a terminal.
func upkeepCommand(t *testing.T, db *storetest.DB, coder *codertest.Server, extra map[string]string, args ...string) (out string, err error) {
	t.Helper()
	variables := map[string]string{
		"DATABASE_URL": db.RoleURL("coderhook"), "CODER_URL": coder.URL, "CODER_OWNER_TOKEN": coder.OwnerToken,
	}
	for name, value := range extra {
		variables[name] = value
	}
	var stdout, stderr bytes.Buffer
	err = run(t.Context(), args, func(name string) string { return variables[name] }, &stdout, &stderr)
	if strings.Contains(stdout.String()+stderr.String(), coder.OwnerToken) {
		t.Error("the owner's token was printed")
	}
	return stdout.String(), err
}

// departed is an account whose user is gone.
func departed(t *testing.T, db *storetest.DB, coder *codertest.Server) uuid.UUID {
	t.Helper()
	id := uuid.MustParse("ada0ada0-1111-4222-8333-444455556666")
	made := coder.AddUser("ada0ada0", "ada@example.com", "none")
	key := coder.AddToken("ada0ada0", "supabase-abcdefgh2345", time.Hour)
	db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, key_id, status, updated_at)
		values ($1, $2, 'ada0ada0', $3, 'active', now() - interval '1 day')`, id, made.ID, key.ID)
	return id
}

func TestReconcileCommand(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	id := departed(t, db, coder)
	out, err := upkeepCommand(t, db, coder, nil, "reconcile", "--dry-run")
	if err != nil || !strings.Contains(out, "would be: "+id.String()+": Coder user ada0ada0 suspended") || !strings.Contains(out, "1 off-boarded") {
		t.Errorf("%v:\n%s", err, out)
	}
	if user, _ := coder.User("ada0ada0"); user.Status == "suspended" {
		t.Error("a dry run suspended")
	}
	out, err = upkeepCommand(t, db, coder, nil, "reconcile")
	if err != nil || !strings.Contains(out, "1 accounts: 1 off-boarded (1 Coder users suspended, 0 deleted), 0 back, 0 orphans removed, 1 tokens deleted, 0 busy, 0 failed") {
		t.Errorf("%v:\n%s", err, out)
	}
	if user, _ := coder.User("ada0ada0"); user.Status != "suspended" || len(coder.TokensOf("ada0ada0")) > 0 {
		t.Errorf("%s with %d tokens", user.Status, len(coder.TokensOf("ada0ada0")))
	}
}

func TestReconcileCommandFails(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	departed(t, db, coder)
	coder.Fail(codertest.Fault{Method: "PUT", Status: 400, Body: `{"message":"No."}`})
	if out, err := upkeepCommand(t, db, coder, nil, "reconcile"); err == nil || !strings.Contains(out, "1 failed") {
		t.Errorf("%v:\n%s", err, out)
	}
	if _, err := upkeepCommand(t, db, coder, map[string]string{"OFFBOARD": "fire"}, "reconcile"); err == nil || !strings.Contains(err.Error(), "OFFBOARD: ") {
		t.Errorf("got %v", err)
	}
	db.Exec(t, `revoke execute on function coderhook.auth_users_state from coderhook`)
	if _, err := upkeepCommand(t, db, coder, nil, "reconcile"); err == nil || !strings.Contains(err.Error(), "grant") {
		t.Errorf("got %v", err)
	}
}

func TestLinkCommand(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	departed(t, db, coder)
	user := db.AddUser(t, "ada@example.com")
	args := []string{"link", "--user", user.String(), "--coder-user", "ada0ada0"}
	linked := func() bool {
		return storetest.Query[bool](t, db, `select exists (select from coderhook.accounts where user_id = $1 and coder_user_id is not null)`, user)
	}
	if out, err := upkeepCommand(t, db, coder, nil, append(args, "--dry-run")...); err != nil || !strings.Contains(out, "gets Coder user ada0ada0 (ada@example.com") || linked() {
		t.Errorf("%v:\n%s", err, out)
	}
	if _, err := upkeepCommand(t, db, coder, nil, args...); err == nil || !strings.Contains(err.Error(), "--yes") || linked() {
		t.Errorf("with nobody to ask: %v", err)
	}
	if out, err := upkeepCommand(t, db, coder, nil, append(args, "--yes")...); err != nil || !strings.Contains(out, "Linked.") || !linked() {
		t.Errorf("%v:\n%s", err, out)
	}
	if lines := storetest.Query[int](t, db, `select count(*) from coderhook.audit where action = 'link' and user_id = $1`, user); lines != 1 {
		t.Errorf("%d audit lines", lines)
	}
	if _, err := upkeepCommand(t, db, coder, nil, "link", "--user", "ada", "--coder-user", "ada0ada0"); err == nil || !strings.Contains(err.Error(), "not a UUID") {
		t.Errorf("got %v", err)
	}
}

func TestLinkCommandMoves(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	bob, ada := db.AddUser(t, "bob@example.com"), db.AddUser(t, "ada@example.com")
	made := coder.AddUser("b0bb0bb0", "ada@example.com", "none")
	db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status) values ($1, $2, 'b0bb0bb0', 'active')`, bob, made.ID)
	args := []string{"link", "--yes", "--user", ada.String(), "--coder-user", "b0bb0bb0"}
	if _, err := upkeepCommand(t, db, coder, nil, args...); err == nil || !strings.Contains(err.Error(), "move it with --from "+bob.String()) {
		t.Errorf("got %v", err)
	}
	if _, err := upkeepCommand(t, db, coder, nil, append(args, "--from", "bob")...); err == nil || !strings.Contains(err.Error(), "not a UUID") {
		t.Errorf("got %v", err)
	}
	out, err := upkeepCommand(t, db, coder, nil, append(args, "--from", bob.String())...)
	if err != nil || !strings.Contains(out, "that of "+bob.String()+", who is there but no longer has that address") {
		t.Errorf("%v:\n%s", err, out)
	}
	if owner := storetest.Query[string](t, db, `select user_id::text from coderhook.accounts where coder_user_id = $1`, made.ID); owner != ada.String() {
		t.Errorf("it is that of %s", owner)
	}
}

func TestLinkAsks(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, "yes": true, "n\n": false, "\n": false, "": false, "yellow\n": false} {
		var out bytes.Buffer
		if got := ask(strings.NewReader(answer), &out, linkQuestion) == nil; got != want || !strings.Contains(out.String(), "[y/N]") {
			t.Errorf("%q: %v", answer, got)
		}
	}
}

// The server looks after all of it by itself: the owner's token, which it finds in a file, and who left.
func TestServeLooksAfterItself(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	coder := codertest.Start(codertest.ProfileNew)
	t.Cleanup(coder.Close)
	departed(t, db, coder)
	old := coder.AddToken("owner", "by hand", 7*24*time.Hour)
	coder.AgeKey(old.ID, 4*24*time.Hour)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(old.Whole), 0o600); err != nil {
		t.Fatal(err)
	}
	p := cmdtest.Start(t, db, coder, "CODER_OWNER_TOKEN=", "CODER_OWNER_TOKEN_FILE="+file, "RECONCILE_INTERVAL=1s")
	cmdtest.Eventually(t, "the owner's token is renewed", func() bool {
		content, err := os.ReadFile(file)
		return err == nil && strings.TrimSpace(string(content)) != old.Whole
	})
	cmdtest.Eventually(t, "who left is off-boarded", func() bool {
		return storetest.Query[string](t, db, `select status from coderhook.accounts`) == "offboarded"
	})
	p.Stop(t)
}

func TestServeRefusesAShortLifetime(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	_, err := upkeepCommand(t, db, coder, map[string]string{"CODER_TOKEN_LIFETIME": "90m", "LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "off", "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS": cmdtest.Secret}, "serve")
	if err == nil || !strings.Contains(err.Error(), "CODER_TOKEN_LIFETIME: 1h30m0s is less than twice the life of an access token") {
		t.Errorf("got %v", err)
	}
}
