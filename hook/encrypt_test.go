package hook

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"coderhook/coderclient"
	"coderhook/hook/authtest"
	"coderhook/hook/provision"
	"coderhook/store"
	"coderhook/store/storetest"
)

var encryptionKey, otherKey = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")),
	base64.StdEncoding.EncodeToString([]byte("fedcba9876543210fedcba9876543210"))

func encrypting(keys ...string) settings {
	s := profileNew()
	s.keys = keys
	return s
}

// encrypted is a world in which Ada has an encrypted key.
func encrypted(t *testing.T, s settings) (w *world, c *authtest.Clock, key, stored string) {
	t.Helper()
	w, c = clocked(t, s)
	w.addAda(t)
	key = w.mintAda(t)
	w.settled()
	stored = w.stored(t, ada)
	if key == "" || !strings.HasPrefix(stored, "enc:v1:") {
		t.Fatalf("stored %q of %q", stored, key)
	}
	return w, c, key, stored
}

// dump is all that stands in the database, as text.
func (w *world) dump(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, table := range storetest.QueryAll[string](t, w.db, `select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'coderhook', 'auth')`) {
		all.WriteString(strings.Join(storetest.QueryAll[string](t, w.db, `select r::text from `+table+` as r`), "\n") + "\n")
	}
	return all.String()
}

// From the first key to its renewal nothing that opens Coder stands in the database.
func TestAStolenDumpOpensNothing(t *testing.T) {
	t.Parallel()
	w, c, first, _ := encrypted(t, encrypting(encryptionKey))
	keys := []string{first}
	for range 2 {
		c.Advance(5 * authtest.Day)
		w.mintAda(t)
		w.settled()
		keys = append(keys, w.mintAda(t))
		w.settled()
	}
	dump := w.dump(t)
	if !strings.Contains(dump, coderclient.KeyID(keys[2])) {
		t.Fatal("this is not the database")
	}
	for n, key := range keys {
		w.wantWorkingKey(t, keys[2], "ada@example.com")
		if _, secret, _ := strings.Cut(key, "-"); strings.Contains(dump, secret) {
			t.Errorf("key %d stands in the database", n)
		}
		if n > 0 && key == keys[n-1] {
			t.Error("not renewed")
		}
	}
	// The thief puts what he has into a project of his own, with a server of his own.
	thief, _, _, _ := encrypted(t, encrypting(otherKey))
	thief.plant(t, w.stored(t, ada))
	if got := thief.mintAda(t); got == "" || got == keys[2] {
		t.Errorf("the thief's server gives %q", got)
	}
	thief.settled()
}

// Who may write the column, and whoever has a dump besides, gets nothing into a token.
func TestForgedValuesAreNotHandedOut(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(w *world, own string) string{
		"another user's": func(w *world, _ string) string {
			bob := w.db.AddUser(t, "bob@example.com")
			w.mint(t, bob, "bob@example.com")
			w.settled()
			return w.stored(t, bob)
		},
		"of an encryption key that nobody has": func(_ *world, own string) string {
			return "enc:v1:0123456789abcdef" + own[strings.LastIndex(own, ":"):]
		},
		"cut short":     func(_ *world, own string) string { return own[:len(own)-3] },
		"only the mark": func(*world, string) string { return "enc:v1:" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, key, own := encrypted(t, encrypting(encryptionKey))
			forged := forge(w, own)
			w.plant(t, forged)
			got := w.mintAda(t)
			w.settled()
			if got == "" || got == key || w.mintAda(t) != got {
				t.Errorf("the token carries %q after %q", got, key)
			}
			w.settled()
			w.wantWorkingKey(t, got, "ada@example.com")
			if now := w.stored(t, ada); now == forged || now == own || !strings.HasPrefix(now, "enc:v1:") {
				t.Errorf("stored %q", now)
			}
			w.wantCounts(t, "coderhook_planted_keys_total", map[string]float64{"": 1})
			w.wantCounts(t, "coderhook_key_faults_total", map[string]float64{"forged": 1})
			if n := storetest.Query[int](t, w.db, `select count(*) from coderhook.audit where action = 'key-planted' and user_id = $1 and detail = $2`, ada, store.ErrForged.Error()); n != 1 {
				t.Errorf("%d rows in the audit trail", n)
			}
			if log := w.log.String(); !strings.Contains(log, store.ErrForged.Error()) || strings.Contains(log, "enc:v1:") {
				t.Error("the log does not say so, or says too much")
			}
		})
	}
}

// A value of the user's own that was replaced is as little theirs as a plain one.
func TestAnOldEncryptedKeyThatIsPutBackIsNotHandedOut(t *testing.T) {
	t.Parallel()
	w, c, first, stored := encrypted(t, encrypting(encryptionKey))
	c.Advance(5 * authtest.Day)
	w.mintAda(t)
	w.settled()
	w.plant(t, stored)
	if got := w.mintAda(t); got == first || got == "" {
		t.Errorf("got %q", got)
	}
	w.settled()
	w.wantCounts(t, "coderhook_planted_keys_total", map[string]float64{"": 1})
}

// A user whom the ledger does not know yet: a plain key would be handed out once, as it may be of an older deployment.
func TestPlantedPlainKeysOfNewUsersCanBeRefused(t *testing.T) {
	t.Parallel()
	s := encrypting(encryptionKey)
	s.refuse = true
	w, _ := clocked(t, s)
	w.addAda(t)
	w.coder.AddUser("eve", "eve@example.com", "password")
	planted := w.coder.AddToken("eve", "mine", 30*authtest.Day).Whole
	w.db.Exec(t, `insert into public.profiles (id, api_key) values ($1, $2)`, ada, planted)
	got := w.mintAda(t)
	w.settled()
	if got == planted || got == "" {
		t.Errorf("got %q", got)
	}
	w.wantWorkingKey(t, got, "ada@example.com")
	w.wantCounts(t, "coderhook_key_faults_total", map[string]float64{"plain": 1})
}

// The user's own plain keys are read, and encrypted when they are renewed.
func TestPlainKeysAreEncryptedAtRenewal(t *testing.T) {
	t.Parallel()
	s := profileNew()
	w, c, first := newbie(t, s)
	s.clock, s.keys = c, []string{encryptionKey}
	w.replica = w.start(t, s)
	if got := w.mintAda(t); got != first || w.stored(t, ada) != first {
		t.Errorf("got %q", got)
	}
	w.settled()
	c.Advance(5 * authtest.Day)
	w.mintAda(t)
	w.settled()
	if got := w.stored(t, ada); !strings.HasPrefix(got, "enc:v1:") {
		t.Errorf("stored %q", got)
	}
	w.wantWorkingKey(t, w.mintAda(t), "ada@example.com")
	w.settled()
}

// Two replicas, one of which was not given the encryption key: it hands out nothing, and destroys nothing.
func TestAReplicaWithoutTheEncryptionKeyLeavesAllAsItIs(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{"without any": nil, "with another one": {otherKey}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := encrypting(encryptionKey)
			w, c, key, stored := encrypted(t, s)
			with := w.replica
			s.clock, s.keys = c, keys
			without := w.start(t, s)
			ledger := func() string {
				return storetest.Query[string](t, w.db, `select a::text from coderhook.accounts as a where user_id = $1`, ada)
			}
			before := ledger()
			for range 2 {
				got := without.mint(t, ada, "ada@example.com")
				if got.key(t) != "" || got.keyStatus(t) != "unavailable" {
					t.Errorf("got %s", got.body)
				}
			}
			without.settled()
			if w.stored(t, ada) != stored || ledger() != before {
				t.Errorf("%s became %s", before, ledger())
			}
			if got := with.mint(t, ada, "ada@example.com").key(t); got != key {
				t.Errorf("the other replica gives %q", got)
			}
			with.settled()
			w.replica = without
			w.wantCounts(t, "coderhook_provisioning_backlog", map[string]float64{})
			w.wantCounts(t, "coderhook_key_faults_total", map[string]float64{"locked": 2})
			w.wantCounts(t, "coderhook_planted_keys_total", map[string]float64{})

			// Whoever is new there gets a key, and both are off-boarded there when they are banned.
			bob := w.db.AddUser(t, "bob@example.com")
			if got := w.mint(t, bob, "bob@example.com").key(t); got == "" {
				t.Error("a new user gets none")
			}
			w.settled()
			w.db.Exec(t, banAda)
			if sum, err := w.reconciler().Reconcile(t.Context(), false); err != nil || sum.Offboarded != 2 || sum.Failed > 0 {
				t.Errorf("%s, %v", sum, err)
			}
			if got := w.adaInCoder(t).Status; got != "suspended" {
				t.Errorf("she is %s", got)
			}
		})
	}
}

// A revocation ends the key in Coder wherever it is run; the new one is for a replica that can read it.
func TestRevokingAKeyThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := encrypting(encryptionKey)
	w, c, key, stored := encrypted(t, s)
	s.clock, s.keys = c, nil
	w.replica = w.start(t, s)
	done, err := w.revoker().Revoke(t.Context(), ada)
	if err != nil || done.Ours != 1 || done.NoNewKey == nil || w.stored(t, ada) != stored {
		t.Errorf("%s, %v", done, err)
	}
	if _, err := w.client.Me(t.Context(), key); err == nil {
		t.Error("the key still opens Coder")
	}
	w.settled()
}

// A user who was answered without a key, as the database was away, is tried again in the background: another replica
// has made and encrypted one by then.
func TestABacklogOverwritesNoLockedKey(t *testing.T) {
	t.Parallel()
	s := encrypting(encryptionKey)
	w, c, key, stored := encrypted(t, s)
	s.clock, s.keys = c, nil
	w.replica = w.start(t, s)
	made := w.Keyring.Provisioner.Provision(t.Context(), provision.Request{User: ada, Email: "ada@example.com", Until: c.Now()})
	made.Answered()
	w.settled()
	if !errors.Is(made.Err, store.ErrLocked) || w.stored(t, ada) != stored {
		t.Errorf("%v, stored %q", made.Err, w.stored(t, ada))
	}
	w.wantCounts(t, "coderhook_provisioning_backlog", map[string]float64{})
	w.wantWorkingKey(t, key, "ada@example.com")
	w.wantOneUser(t, 1)
}
