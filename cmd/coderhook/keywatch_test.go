package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store"

	"github.com/google/uuid"
)

// On the guide's own table no key is made, until it is locked; who has one goes on.
func TestServeMakesNoReadableKey(t *testing.T) {
	t.Parallel()
	w, coder := newAttacked(t, quickstart), cmdtest.Coder(t)
	p := cmdtest.Start(t, w.DB, coder, "ADMIN_ADDR=127.0.0.1:0", "RECONCILE_INTERVAL=1s")
	client := &http.Client{}
	newcomer := w.DB.AddUser(t, "new@example.com")
	for range 3 {
		if key, status, err := p.Mint(t.Context(), client, newcomer, "new@example.com"); key != "" || status != "unavailable" || err != nil {
			t.Errorf("got %.10q, %q, %v", key, status, err)
		}
	}
	if key, _, err := p.Mint(t.Context(), client, uuid.MustParse(victim), victim+"@example.com"); key != theKey || err != nil {
		t.Errorf("who has a key got %.10q, %v", key, err)
	}
	p.Becomes(t, `"keys":"degraded"`)
	if got := cmdtest.Get(t, "http://"+p.Admin+"/metrics"); !strings.Contains(got, "\ncoderhook_keys_readable 1\n") {
		t.Error("the metric does not say that keys are readable")
	}
	if n := len(coder.Users()); n > 0 {
		t.Errorf("%d Coder users were made", n)
	}
	if out, err := w.migrate("--lock-keys"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmdtest.Eventually(t, "the newcomer gets a key", func() bool {
		key, _, err := p.Mint(t.Context(), client, newcomer, "new@example.com")
		return key != "" && err == nil
	})
	p.Becomes(t, `"keys":"ok"`)
	p.Stop(t)
	log := p.Log()
	for text, times := range map[string]int{"no new key is made until coderhook migrate --lock-keys was run": 1, "can't be read by others any more": 1} {
		if strings.Count(log, text) != times {
			t.Errorf("%q is %d times in the log", text, strings.Count(log, text))
		}
	}
}

func TestServeMakesReadableKeysWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	w, coder := newAttacked(t, quickstart), cmdtest.Coder(t)
	p := cmdtest.Start(t, w.DB, coder, "ALLOW_READABLE_KEYS=true")
	user := w.DB.AddUser(t, "new@example.com")
	if key, status, err := p.Mint(t.Context(), &http.Client{}, user, "new@example.com"); key == "" || err != nil {
		t.Errorf("got %q, %v", status, err)
	}
}

// A view as the profiles table is refused by all three, and nobody is told to index it.
func TestViewAsProfilesTable(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, cmdtest.Coder(t))
	w.DB.Script(t, `create view public.people as select * from public.profiles; grant select, insert, update on public.people to coderhook`)
	w.Variables["PROFILES_TABLE"] = "public.people"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure profiles table")
	if !strings.Contains(found[0].Found, "is a view") || strings.Contains(found[0].SQL+found[0].Cure, "index") || !strings.Contains(found[0].Cure, "PROFILES_TABLE") {
		t.Errorf("got %+v", found)
	}
	if _, err := command(t, map[string]string{"DATABASE_URL": w.DB.URL, "PROFILES_TABLE": "public.people"}, "migrate"); !errors.Is(err, store.ErrUnusable) {
		t.Errorf("migrate: %v", err)
	}
	p := cmdtest.Start(t, w.DB, w.Coder, "PROFILES_TABLE=public.people")
	cmdtest.Eventually(t, "the server says that it is a view", func() bool { return strings.Contains(p.Log(), "is a view; name in PROFILES_TABLE") })
}
