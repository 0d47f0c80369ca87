package hook

import (
	"strings"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/hook/keyring"
	"coderhook/hook/provision"
	"coderhook/hook/webhook"
	"coderhook/store"

	"github.com/google/uuid"
)

// What is explained is what the mint would do.
func TestExplain(t *testing.T) {
	t.Parallel()
	const key = "AbCdEfGhIj-0123456789012345678901"
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	o := provision.DefaultOptions()
	o.Now = func() time.Time { return now }
	good := store.Account{
		APIKey: key, KeyID: "AbCdEfGhIj", KeyExpiresAt: now.Add(6 * authtest.Day), KeyLifetime: 7 * authtest.Day, KeyCheckedAt: now,
		Known: true, Status: store.Active, CoderUsername: "ada", CoderUserID: uuid.New(), UpdatedAt: now,
	}
	for name, test := range map[string]struct {
		change func(*store.Account)
		want   []string
		not    string
	}{
		"good":         {func(*store.Account) {}, []string{"carries the key AbCdEfGhIj", "2026-11-29T12:00:00Z"}, "asked"},
		"to be tried":  {func(a *store.Account) { a.KeyCheckedAt = now.Add(-time.Hour) }, []string{"carries", "Coder is asked whether it still takes it"}, "new key"},
		"aging":        {func(a *store.Account) { a.KeyExpiresAt = now.Add(2 * authtest.Day) }, []string{"carries", "renewal window"}, "before it answers"},
		"unknown":      {func(a *store.Account) { a.KeyID = "" }, []string{"carries", "the ledger does not know it"}, "new key"},
		"short":        {func(a *store.Account) { a.KeyExpiresAt = now.Add(time.Minute) }, []string{"makes a new key before it answers", "can't be reached, carries the old one"}, ""},
		"dead":         {func(a *store.Account) { a.KeyExpiresAt = now.Add(-authtest.Day) }, []string{"makes a key for the Coder user ada", "ended at 2026-11-22T12:00:00Z"}, "carries"},
		"refused":      {func(a *store.Account) { a.KeyRefused = true }, []string{"makes a key for the Coder user ada", "did not take"}, "carries"},
		"rubbish":      {func(a *store.Account) { a.APIKey = "rubbish" }, []string{"makes a key", "not the form of a key"}, "carries"},
		"locked":       {func(a *store.Account) { a.APIKey, a.Encryption = "", store.Locked }, []string{"answers unavailable, and leaves everything as it is", "KEY_ENCRYPTION_KEYS"}, "makes"},
		"forged":       {func(a *store.Account) { a.APIKey, a.Encryption = "", store.Forged }, []string{"makes a key for the Coder user ada", "was not encrypted for this user by us"}, "carries"},
		"nobody knows": {func(a *store.Account) { *a = store.Account{} }, []string{"makes a Coder user, then a key", "there is none"}, "carries"},
		"at work":      {func(a *store.Account) { a.APIKey, a.Leased = "", true }, []string{"waits for another mint", "5s"}, "carries"},
		"suspended": {
			func(a *store.Account) { a.Status, a.LastError, a.UpdatedAt = store.Suspended, "x", now.Add(-time.Hour) },
			[]string{"suspended in Coder"},
			"carries",
		},
		"off-boarded": {func(a *store.Account) { a.Status = store.Offboarded }, []string{"if they are here again in Supabase"}, "carries"},
		"conflict": {
			func(a *store.Account) { a.APIKey, a.Status, a.LastError = "", store.Conflict, "taken" },
			[]string{"answers conflict without asking Coder, for another 1m0s: taken"},
			"makes",
		},
	} {
		account := good
		test.change(&account)
		got := keyring.Explain(o, account, now.Add(time.Hour))
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s; want %q", name, got, want)
			}
		}
		if test.not != "" && strings.Contains(got, test.not) || strings.Contains(got, key[11:]) {
			t.Errorf("%s: %s", name, got)
		}
	}
	unseen := good
	unseen.KeyUnseen = true
	out := o
	out.OutOfClaims = true
	for _, test := range []struct {
		o       provision.Options
		account store.Account
		want    string
	}{
		{out, good, "says ready, and does not carry the key AbCdEfGhIj; tokens have carried it"},
		{out, unseen, "says ready, and does not carry the key AbCdEfGhIj: it lives until 2026-11-29T12:00:00Z, longer than the token"},
		{o, unseen, "it is the first token to do so"},
	} {
		if got := keyring.Explain(test.o, test.account, now.Add(time.Hour)); !strings.Contains(got, test.want) {
			t.Errorf("%s; want %q", got, test.want)
		}
	}
}

// A recording for another user and time differs from it in nothing else, and is an event.
func TestReplay(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_900_000_000, 0)
	for file, r := range authtest.Recordings(t) {
		was, err := webhook.Parse([]byte(r.Request.Body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := webhook.Replay([]byte(r.Request.Body), ada, "ada@example.com", now)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		is, err := webhook.Parse(body)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if is.User != ada || (is.Deciding.Email != "ada@example.com") != (was.Deciding.Email == "") || !is.Deciding.ExpiresAt().After(now) {
			t.Errorf("%s: %+v", file, is.Deciding)
		}
		back, err := webhook.Replay(body, was.User, was.Deciding.Email, r.SentAt(t))
		if err != nil || len(back) != len(r.Request.Body) {
			t.Errorf("%s: and back it has %d bytes, not %d (%v)", file, len(back), len(r.Request.Body), err)
		}
	}
	for _, body := range []string{``, `{}`, `{"user_id":"` + ada.String() + `","claims":{"sub":"` + ada.String() + `","exp":1}}`} {
		if _, err := webhook.Replay([]byte(body), ada, "", now); err == nil {
			t.Errorf("%s was replayed", body)
		}
	}
}
