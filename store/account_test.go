package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
)

func TestLookupOfAStranger(t *testing.T) {
	t.Parallel()
	s := storetest.New(t).Store(t)
	id := uuid.New()
	if diff := cmp.Diff(store.Account{UserID: id}, lookup(t, s, id)); diff != "" {
		t.Error(diff)
	}
}

func TestLookupOfAProfileThatTheLedgerDoesNotKnow(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	withKey, without := db.AddUser(t, "with@example.com"), db.AddUser(t, "without@example.com")
	db.Exec(t, `insert into public.profiles (id, api_key) values ($1, 'old'), ($2, null)`, withKey, without)
	for id, key := range map[uuid.UUID]string{withKey: "old", without: ""} {
		want := store.Account{UserID: id, HasProfile: true, APIKey: key}
		if diff := cmp.Diff(want, lookup(t, s, id)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestLookupAfterEverythingWasWritten(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	id, coderID := db.AddUser(t, "a@example.com"), uuid.New()
	lease := claimed(t, s, id, "me")
	must(t, s.RecordUser(t.Context(), lease, coderID, "ada", true))
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	want := store.Account{
		UserID: id, HasProfile: true, APIKey: secret,
		Known: true, CoderUserID: coderID, CoderUsername: "ada", Status: store.Active,
		KeyID: "abcdefghij", KeyExpiresAt: newKey().ExpiresAt, Leased: true,
	}
	got := lookup(t, s, id)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(got, "LeaseUntil", "UpdatedAt")); diff != "" {
		t.Error(diff)
	}
	if got.LeaseUntil.IsZero() || got.UpdatedAt.IsZero() {
		t.Errorf("lease until %v, updated at %v: want both set", got.LeaseUntil, got.UpdatedAt)
	}
}

func TestLookupUsesIndexesOnly(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Script(t, `
		alter table public.profiles drop constraint profiles_id_fkey;
		insert into public.profiles (id) select gen_random_uuid() from generate_series(1, 20000);
		insert into coderhook.accounts (user_id, coder_user_id) select id, gen_random_uuid() from public.profiles;
		analyze public.profiles, coderhook.accounts;`)
	sql := store.LookupSQL(db.Store(t))
	for _, role := range []string{"coderhook", "none"} { // none is the superuser itself
		tx := db.Begin(t)
		tx.Exec(t, `set local plan_cache_mode = force_generic_plan`)
		tx.Exec(t, `set local role `+role)
		tx.Exec(t, `prepare lookup as `+sql)
		plan := strings.Join(storetest.TxQuery[string](t, tx, `explain execute lookup('`+uuid.NewString()+`')`), "\n")
		if strings.Contains(plan, "Seq Scan") || strings.Count(plan, "Index") < 2 {
			t.Errorf("as %s:\n%s", role, plan)
		}
	}
}

func TestOwnerOf(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	id, coderID := uuid.New(), uuid.New()
	_, err := s.OwnerOf(t.Context(), coderID)
	wantErr(t, err, store.ErrNotFound)
	must(t, s.RecordUser(t.Context(), claimed(t, s, id, "me"), coderID, "ada", true))
	if owner, err := s.OwnerOf(t.Context(), coderID); owner != id || err != nil {
		t.Errorf("got %v, %v, want %v", owner, err, id)
	}
}

func TestPrintedAccountsAndKeysHaveNoSecret(t *testing.T) {
	t.Parallel()
	account := store.Account{APIKey: secret, KeyID: "abcdefghij"}
	for _, value := range []any{account, &account, newKey(), []store.Key{newKey()}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, secret) {
				t.Errorf("%s of %T: %s", verb, value, text)
			}
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	db := storetest.New(b)
	id := db.AddUser(b, "a@example.com")
	for name, params := range map[string]string{"prepared": "", "pooler": "&pgbouncer=true"} {
		s := storetest.Open(b, store.Config{URL: db.RoleURL("coderhook") + params})
		lease := store.Lease{UserID: id, Owner: "me"}
		must(b, s.Claim(b.Context(), lease, time.Minute))
		must(b, s.StoreKey(b.Context(), lease, newKey()))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				lookup(b, s, id)
			}
		})
	}
}
