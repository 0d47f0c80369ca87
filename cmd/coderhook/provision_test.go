package main

import (
	"context"
	"flag"
	"os/exec"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/rs/zerolog"
)

// town is a project with many users, before the hook is switched on.
type town struct {
	db        *storetest.DB
	coder     *codertest.Server
	variables map[string]string
	late      bool // Coder took longer to answer than we wait, as on a busy machine: what it made for that is a token too many
}

// newTown has so many users who are to get a key, and some who are not. Coder's rate limit counts within a second.
func newTown(t *testing.T, users int) *town {
	t.Helper()
	w := &town{db: storetest.New(t), coder: cmdtest.Coder(t)}
	w.coder.Configure(func(s *codertest.Settings) { s.RateLimit, s.RateWindow = 512, time.Second })
	w.variables = map[string]string{
		"DATABASE_URL": w.db.RoleURL("coderhook"), "CODER_URL": w.coder.URL, "CODER_OWNER_TOKEN": w.coder.OwnerToken, "LOG_FORMAT": "json", "LOG_LEVEL": "warn",
	}
	w.db.Exec(t, `insert into auth.users (id, email) select gen_random_uuid(), 'user-' || n || '@example.com' from generate_series(1, $1::int) n`, users)
	w.db.Exec(t, `insert into auth.users (id, email, banned_until) values (gen_random_uuid(), 'banned@example.com', 'infinity')`)
	w.db.Exec(t, `insert into auth.users (id, email, deleted_at) values (gen_random_uuid(), 'deleted@example.com', now())`)
	w.db.Exec(t, `insert into auth.users (id, is_anonymous) values (gen_random_uuid(), true)`)
	w.db.Exec(t, `insert into auth.users (id, phone) values (gen_random_uuid(), '123')`)
	w.db.Exec(t, `update auth.users set aud = 'authenticated', role = 'authenticated'`) // as Supabase Auth does
	return w
}

func (w *town) run(ctx context.Context, args ...string) (string, error) {
	var out, log strings.Builder
	err := run(ctx, append([]string{"provision", "--all"}, args...), func(name string) string { return w.variables[name] }, &out, zerolog.SyncWriter(&log))
	w.late = w.late || strings.Contains(log.String(), "deadline exceeded")
	return out.String(), err
}

// wantOneEach expects one account with one key, which works and is stored, for each of so many users.
func (w *town) wantOneEach(t *testing.T, users int) {
	t.Helper()
	if got := len(w.coder.Users()); got != users {
		t.Errorf("%d Coder users, want %d", got, users)
	}
	for _, user := range w.coder.Users() {
		if tokens := w.coder.TokensOf(user.Username); len(tokens) == 0 || len(tokens) > 1 && !w.late {
			t.Fatalf("%s has %d tokens", user.Username, len(tokens))
		}
	}
	if got := storetest.Query[int](t, w.db, `select count(distinct p.api_key) from coderhook.accounts a join public.profiles p on p.id = a.user_id
		where a.status = 'active' and p.api_key like a.key_id || '-%' and a.lease_until is null`); got != users {
		t.Errorf("%d users have a key of their own, want %d", got, users)
	}
}

var provisionUsers = flag.Int("provision.users", 1200, "users in TestProvisionAllUsers; a project may have 10000")

// All users who may sign in with an address have their key, at Coder's pace, and a second run finds them all there.
func TestProvisionAllUsers(t *testing.T) {
	t.Parallel()
	users := *provisionUsers // more than a page, and more than Coder takes at once
	w := newTown(t, users)
	out, err := w.run(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
	w.wantOneEach(t, users)
	for _, want := range []string{
		"users may sign in: 0 have a key", "It takes about ", " keys made, 0 were there.",
		"without a key: 1: anonymous user (let the user sign in", "without a key: 1: no e-mail (give the user an e-mail address",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out, err = w.run(t.Context()); err != nil || !strings.Contains(out, " 0 get one (0 with a new account)") || !strings.Contains(out, ": 0 keys made, ") {
		t.Errorf("%v\n%s", err, out)
	}
	w.wantOneEach(t, users)
}

// Killed or stopped anywhere, the next run makes what is missing, and nothing twice.
func TestProvisionGoesOnAfterAnEnd(t *testing.T) {
	t.Parallel()
	const users = 60
	w := newTown(t, users)
	binary, err := cmdtest.Build()
	if err != nil {
		t.Fatal(err)
	}
	killed := exec.Command(binary, "provision", "--all", "--rate", "600")
	for name, value := range w.variables {
		killed.Env = append(killed.Env, name+"="+value)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	cmdtest.Eventually(t, "some are made", func() bool { return len(w.coder.Users()) >= 10 })
	_ = killed.Process.Kill()
	_ = killed.Wait()

	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer stop()
		for len(w.coder.Users()) < 30 && ctx.Err() == nil {
			<-time.After(time.Millisecond)
		}
	}()
	out, err := w.run(ctx, "--rate", "600")
	if err == nil || !strings.Contains(err.Error(), "stopped: the same command goes on") {
		t.Errorf("%v\n%s", err, out)
	}
	if made := len(w.coder.Users()); made >= users {
		t.Fatalf("all %d are made: nothing is left for the next run", made)
	}
	if out, err = w.run(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := len(w.coder.Users()); got != users {
		t.Errorf("%d Coder users", got)
	}
	if got := storetest.Query[int](t, w.db, `select count(*) from coderhook.accounts a join public.profiles p on p.id = a.user_id where p.api_key like a.key_id || '-%'`); got != users {
		t.Errorf("%d users have a key", got)
	}
}

// A dry run counts and makes nothing; conditions choose, and a bad address is told of and keeps nobody else waiting.
func TestProvisionSome(t *testing.T) {
	t.Parallel()
	w := newTown(t, 20)
	w.db.Exec(t, `insert into auth.users (id, email, aud, role) values (gen_random_uuid(), 'ada@localhost', 'authenticated', 'authenticated')`)
	out, err := w.run(t.Context(), "--dry-run", "--where", `user.email in ["user-1@example.com", "user-2@example.com", "ada@localhost"]`)
	if err != nil || !strings.Contains(out, "23 users may sign in: 0 have a key, 3 get one (3 with a new account).") || !strings.Contains(out, "without a key: 18: not among those of --where") || len(w.coder.Users()) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = w.run(t.Context(), "--where", `user.email in ["user-1@example.com", "user-2@example.com", "ada@localhost"]`)
	if err == nil || !strings.Contains(out, "Coder takes no such e-mail address") || !strings.Contains(out, "2 keys made") || !strings.Contains(out, "without a key: 1: conflict") {
		t.Errorf("%v\n%s", err, out)
	}
	w.wantOneEach(t, 2)
	for _, where := range []string{`user.nothing == "x"`, `1 + 1`, `(`} {
		if out, err := w.run(t.Context(), "--where", where); err == nil || !strings.Contains(err.Error(), "--where: ") {
			t.Errorf("%s: %v\n%s", where, err, out)
		}
	}
}

// No key is made while everybody could read it.
func TestProvisionMakesNoReadableKeys(t *testing.T) {
	t.Parallel()
	w := newTown(t, 3)
	if err := storetest.RunScript(t.Context(), w.db.RoleURL(pgserver.ProductAdmin), `
		grant select on public.profiles to anon; create policy everybody on public.profiles for select using (true);`); err != nil {
		t.Fatal(err)
	}
	out, err := w.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "everybody can read the keys") || len(w.coder.Users()) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	w.variables["ALLOW_READABLE_KEYS"] = "true"
	if out, err := w.run(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	w.wantOneEach(t, 3)
}

// No token has carried a key that was made ahead: where tokens carry none, it is not replaced for that; where they do, the
// first one that does is written down.
func TestProvisionedKeysAreInNoToken(t *testing.T) {
	t.Parallel()
	for _, inClaims := range []string{"true", "false"} {
		w := newTown(t, 1)
		w.variables["KEY_IN_CLAIMS"] = inClaims
		if out, err := w.run(t.Context()); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if n := storetest.Query[int](t, w.db, `select count(*) from coderhook.accounts where unseen_key_id = key_id`); n != 1 {
			t.Errorf("KEY_IN_CLAIMS=%s: %d keys are known as in no token", inClaims, n)
		}
	}
}
