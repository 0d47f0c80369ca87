package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/selfsigned"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// The whole program makes keys in a Coder that is behind a forward proxy, an own authority, a client certificate, a
// header and a path. A renewed certificate is shown without a restart, and the log has no secret.
func TestServeBehindAllThatStandsBeforeCoder(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	front := cmdtest.NewFront(t, coder)
	var extra []string
	for name, value := range front.Variables() {
		extra = append(extra, name+"="+value)
	}
	server := cmdtest.Start(t, db, coder, extra...)
	mint := func(email string) {
		t.Helper()
		user := uuid.New()
		db.Exec(t, `insert into auth.users (id, email) values ($1, $2)`, user, email)
		cmdtest.Eventually(t, "a key for "+email, func() bool {
			key, _, err := server.Mint(t.Context(), http.DefaultClient, user, email)
			return err == nil && key != ""
		})
	}
	mint("ada@example.com")
	if _, err := selfsigned.Write(front.ClientDir, "second", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	cmdtest.Eventually(t, "the renewed certificate is shown", func() bool {
		mint(uuid.NewString() + "@example.com")
		return slices.Contains(front.Shown(), "second")
	})
	if shown := front.Shown(); shown[0] != "first" {
		t.Errorf("shown: %v", shown)
	}
	for _, asked := range front.Asked() {
		if asked != "CONNECT coder.example.com:443" {
			t.Errorf("the forward proxy was asked for %s", asked)
		}
	}
	server.Stop(t)
	for _, secret := range []string{cmdtest.AccessSecret, "hunter2"} {
		if strings.Contains(server.Log(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

// Commands go the same way, and a login page is named in what they say.
func TestCommandsOnTheWayToCoder(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	variables := map[string]string{
		"DATABASE_URL": db.RoleURL("coderhook"), "CODER_OWNER_TOKEN": coder.OwnerToken, "LOG_FORMAT": "json",
	}
	maps.Copy(variables, cmdtest.NewFront(t, coder).Variables())
	run := func() (string, error) {
		var out strings.Builder
		err := run(t.Context(), []string{"reconcile", "--dry-run"}, func(name string) string { return variables[name] }, &out, &out)
		return out.String(), err
	}
	user := coder.AddUser("ada", "ada@example.com", "none")
	db.Exec(t, `with banned as (insert into auth.users (id, email, banned_until) values (gen_random_uuid(), 'ada@example.com', 'infinity') returning id)
		insert into coderhook.accounts (user_id, coder_user_id, coder_username, status) select id, $1, 'ada', 'active' from banned`, user.ID)
	if out, err := run(); err != nil {
		t.Errorf("%v, %s", err, out)
	}
	variables["CODER_HEADERS"] = ""
	if out, err := run(); !strings.Contains(out, "CODER_URL is behind a proxy that wants a login: it redirects to team.cloudflareaccess.com") || strings.Contains(out, cmdtest.AccessSecret) {
		t.Errorf("%v, %s", err, out)
	}
}
