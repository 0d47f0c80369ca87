package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// Killed between the creation of the Coder user and the stored key, at whichever step:
// a later mint ends with one Coder user and a working key.
func TestKilledWhileProvisioning(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]codertest.Fault{
		"user is made, reply on its way":  {Method: "POST", Path: "/users", Hang: true, AfterActing: true},
		"before the token":                {Method: "POST", Path: "/users/*/keys/tokens", Hang: true},
		"token is made, reply on its way": {Method: "POST", Path: "/users/*/keys/tokens", Hang: true, AfterActing: true},
		"before the expiry is read":       {Method: "GET", Path: "/users/*/keys/*", Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, coder := storetest.New(t), cmdtest.Coder(t)
			user := db.AddUser(t, "ada@example.com")
			remove := coder.Fail(fault)
			first := cmdtest.Start(t, db, coder)
			go func() { _, _, _ = first.Mint(t.Context(), http.DefaultClient, user, "ada@example.com") }() // it is never answered
			cmdtest.Eventually(t, "Coder is asked", func() bool { return asked(coder, fault) })
			if err := first.Kill(); err != nil {
				t.Fatal(err)
			}
			remove()

			second := cmdtest.Start(t, db, coder)
			var key string
			cmdtest.Eventually(t, "a mint gives a key", func() bool {
				var err error
				if key, _, err = second.Mint(t.Context(), http.DefaultClient, user, "ada@example.com"); err != nil {
					t.Fatal(err)
				}
				return key != ""
			})
			if users := coder.Users(); len(users) != 1 || users[0].Email != "ada@example.com" {
				t.Errorf("Coder has %+v, want one user", users)
			}
			wantWorks(t, coder, key)
			second.Stop(t)
			if got := storetest.Query[string](t, db, `select api_key from public.profiles`); got != key {
				t.Error("the profile has another key than the token")
			}
		})
	}
}

func asked(coder *codertest.Server, fault codertest.Fault) bool {
	last := fault.Path[strings.LastIndex(fault.Path, "/")+1:]
	for _, r := range coder.Requests() {
		if r.Method == fault.Method && (last == "*" && strings.Contains(r.Path, "/keys/") || strings.HasSuffix(r.Path, last)) {
			return true
		}
	}
	return false
}

func wantWorks(t *testing.T, coder *codertest.Server, key string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, coder.URL+"/api/v2/users/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Coder-Session-Token", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("Coder answers %d to the key", response.StatusCode)
	}
}

// SIGTERM under load: every request that reaches the server is answered, on kept-alive
// connections too, and every key that was handed out is stored.
func TestTerminatedUnderLoad(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	p := cmdtest.Start(t, db, coder, "DRAIN_DELAY=500ms")
	signUps := db.Begin(t) // keeps half of the new keys waiting to be stored
	var given sync.Map
	var mints atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	for i := range 8 {
		user := uuid.New()
		const insert = `insert into auth.users (id, email) values ($1, $2)`
		email := user.String()[:8] + "@example.com"
		if i%2 == 0 {
			db.Exec(t, insert, user, email)
		} else {
			signUps.Exec(t, insert, user, email)
		}
		load.Go(func() { keepMinting(ctx, t, p, user, email, &given, &mints) })
	}
	cmdtest.Eventually(t, "everybody has a key", func() bool { return mints.Load() > 400 && size(&given) == 8 })
	signalled := make(chan struct{})
	go func() {
		defer close(signalled)
		p.Stop(t)
	}()
	load.Wait() // ends when the server takes no connections any more
	signUps.Exec(t, "commit")
	<-signalled
	given.Range(func(user, key any) bool {
		if got := storetest.Query[string](t, db, `select coalesce(api_key, '') from public.profiles where id = $1`, user); got != key {
			t.Errorf("user %s: the profile has not the key of the token", user)
		}
		return true
	})
	t.Logf("%d mints, none broken", mints.Load())
}

// keepMinting mints as fast as it can until the server takes no more connections: they are refused.
// What it must never see is a connection that ends under a request.
func keepMinting(ctx context.Context, t *testing.T, p *cmdtest.Server, user uuid.UUID, email string, given *sync.Map, mints *atomic.Int64) {
	client := &http.Client{Transport: &http.Transport{}}
	for ctx.Err() == nil {
		key, status, err := p.Mint(ctx, client, user, email)
		if err != nil {
			if !errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil {
				t.Errorf("a request broke: %v", err)
			}
			return
		}
		if key == "" && status != "pending" {
			t.Errorf("no key, status %q", status)
		}
		if key != "" {
			given.Store(user, key)
		}
		mints.Add(1)
	}
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// Coder comes back, nobody asks /readyz: the server notices by itself.
func TestCoderComesBack(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	remove := coder.Fail(codertest.Fault{Status: 500})
	p := cmdtest.Start(t, db, coder)
	user := db.AddUser(t, "ada@example.com")
	mint := func() (key, status string) {
		key, status, err := p.Mint(t.Context(), http.DefaultClient, user, "ada@example.com")
		if err != nil {
			t.Fatal(err)
		}
		return key, status
	}
	cmdtest.Eventually(t, "nobody waits for Coder any more", func() bool {
		_, status := mint()
		return status == "unavailable" && strings.Contains(p.Log(), "Coder is down")
	})
	remove()
	cmdtest.Eventually(t, "a mint gives a key", func() bool { key, _ := mint(); return key != "" })
	if !strings.Contains(p.Log(), "Coder can be used again") {
		t.Error("the log does not say so")
	}
}

func TestLogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	p := cmdtest.Start(t, db, coder)
	user := db.AddUser(t, "ada@example.com")
	key, _, err := p.Mint(t.Context(), http.DefaultClient, user, "ada@example.com")
	if err != nil || key == "" {
		t.Fatalf("key %q, error %v", key, err)
	}
	coder.Fail(codertest.Fault{Status: 500})
	other := db.AddUser(t, "bob@example.com")
	if _, _, err := p.Mint(t.Context(), http.DefaultClient, other, "bob@example.com"); err != nil {
		t.Fatal(err)
	}
	p.Stop(t)
	_, secret, _ := strings.Cut(key, "-")
	_, owner, _ := strings.Cut(coder.OwnerToken, "-")
	for _, word := range []string{secret, owner, strings.TrimPrefix(cmdtest.Secret, "v1,whsec_"), "throwaway"} {
		if strings.Contains(p.Log(), word) {
			t.Errorf("a secret stands in the log: %.4s…", word)
		}
	}
	if !strings.Contains(p.Log(), `"outcome":"injected"`) || !strings.Contains(p.Log(), user.String()) {
		t.Error("the log does not tell of the mint")
	}
}

func TestServeReportsConfigurationFaults(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := run(t.Context(), []string{"serve"}, func(string) string { return "" }, &out, &out)
	if err == nil || strings.Count(err.Error(), "is missing") != 4 {
		t.Errorf("got %v", err)
	}
}

func TestServeSaysThatItsAddressIsTaken(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	variables := cmdtest.Variables()
	variables["LISTEN_ADDR"] = strings.TrimPrefix(coder.URL, "http://")
	variables["DATABASE_URL"], variables["ADMIN_ADDR"] = db.RoleURL("coderhook"), "off"
	var out strings.Builder
	err := run(t.Context(), []string{"serve"}, func(name string) string { return variables[name] }, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "LISTEN_ADDR") {
		t.Errorf("got %v", err)
	}
}

func TestMigrateCommand(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	for _, step := range []struct{ broken, want string }{
		{`select 1`, "coderhook.accounts"},
		{`select 1`, "nothing was missing"},
		{`drop function coderhook.auth_user_ids`, "added the function coderhook.auth_user_ids"},
		{`drop policy coderhook_update on public.profiles`, "added the policy coderhook_update on public.profiles."},
		{`revoke update on public.profiles from coderhook`, "rights given: 1."},
		{`grant usage on schema coderhook to anon; grant select on coderhook.accounts to anon`, "rights taken away: 2."},
		{`select 1`, "nothing was missing"},
	} {
		db.Script(t, step.broken)
		want := step.want
		var out strings.Builder
		err := run(t.Context(), []string{"migrate"}, func(name string) string {
			return map[string]string{"DATABASE_URL": db.URL}[name]
		}, &out, &out)
		if err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("got %q, %v; want %q", out.String(), err, want)
		}
	}
}

func TestMigrateWithoutTriggers(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"migrate", "--no-trigger"}, "There are no triggers on auth.users: who is deleted or banned is noticed within 30 seconds."},
		{[]string{"migrate"}, "added the triggers on auth.users.\n"},
		{[]string{"migrate", "--no-trigger"}, "There are no triggers on auth.users: "},
	} {
		var out strings.Builder
		err := run(t.Context(), step.args, func(name string) string {
			return map[string]string{"DATABASE_URL": db.URL}[name]
		}, &out, &out)
		if err != nil || !strings.HasPrefix(out.String(), "The database is up to date: ") || !strings.Contains(out.String(), step.want) {
			t.Errorf("%v: got %q, %v", step.args, out.String(), err)
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"version"}, "coderhook dev ("},
		{[]string{"--help"}, "migrate"},
		{[]string{"serve", "--help"}, "serve"},
	} {
		var out strings.Builder
		err := run(t.Context(), test.args, func(string) string { return "" }, &out, &out)
		if err != nil || !strings.Contains(out.String(), test.want) {
			t.Errorf("%v: %q, %v", test.args, out.String(), err)
		}
	}
	var out strings.Builder
	if err := run(t.Context(), nil, func(string) string { return "" }, &out, &out); !errors.Is(err, errReported) || !strings.Contains(out.String(), "migrate") {
		t.Errorf("without arguments: %q, %v", out.String(), err)
	}
	if err := run(t.Context(), []string{"sreve"}, func(string) string { return "" }, new(strings.Builder), new(strings.Builder)); err == nil {
		t.Error("an unknown command is accepted")
	}
}

// A database that can't be used is one error at the start, and no end of it.
func TestServeSaysOnceThatTheDatabaseCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ broken, then, want string }{
		"older migration": {`drop function coderhook.auth_user_ids`, "omit", "coderhook migrate): there is no function coderhook.auth_user_ids"},
		"no column":       {`alter table public.profiles drop api_key`, "reject", "with a column"},
		"no rights":       {`revoke select on coderhook.accounts from coderhook`, "omit", "coderhook doctor says which"},
		"nothing":         {`select 1`, "omit", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, coder := storetest.New(t), cmdtest.Coder(t)
			db.Script(t, test.broken)
			p := cmdtest.Start(t, db, coder, "ON_ERROR="+test.then)
			cmdtest.Eventually(t, "the start is over", func() bool { return !strings.Contains(p.Readiness(t), `"database":"down"`) })
			before := p.Log()
			says := strings.Count(before, `"message":"the database can't be used: `)
			if test.want == "" && says > 0 || test.want != "" && (says != 1 || !strings.Contains(before, test.want)) {
				t.Errorf("got %s", before)
			}
			if test.then == "reject" && !strings.Contains(before, "sign-ins are rejected") {
				t.Errorf("got %s", before)
			}
		})
	}
}

// Sign-ins are answered while the start still asks a database that says nothing.
func TestServeListensBeforeTheDatabaseAnswers(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	silent := cmdtest.ListenFor(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	began := time.Now()
	p := cmdtest.Start(t, db, coder, "DATABASE_URL=postgres://coderhook@"+silent+"/postgres?sslmode=disable")
	t.Logf("listens after %s", time.Since(began))
	if _, status, err := p.Mint(t.Context(), http.DefaultClient, uuid.New(), "ada@example.com"); err != nil || status != "unavailable" {
		t.Errorf("status %q, error %v", status, err)
	}
	const fault = `"message":"the database can't be used`
	cmdtest.Eventually(t, "the log says what is wrong", func() bool { return strings.Contains(p.Log(), fault) })
	if before, _, _ := strings.Cut(p.Log(), `"message":"listening"`); strings.Contains(before, fault) {
		t.Error("it waited for the database before it listened")
	}
	if !strings.Contains(p.Readiness(t), `"database":"down"`) {
		t.Error("it says that it is ready")
	}
	p.Stop(t)
}

func TestMigrateSaysWhoMayRunIt(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Script(t, `drop policy coderhook_update on public.profiles`)
	_, err := command(t, map[string]string{"DATABASE_URL": db.RoleURL("coderhook")}, "migrate")
	if err == nil || !strings.Contains(err.Error(), "must be owner") || !strings.HasSuffix(err.Error(), "; run it as the owner of the tables (role postgres in Supabase)") {
		t.Errorf("got %v", err)
	}
}
