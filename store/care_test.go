package store_test

import (
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// withKey is an account with a stored key and nobody at work on it.
func withKey(t *testing.T, db *storetest.DB, s *store.Store) (lease store.Lease, coderUser uuid.UUID) {
	t.Helper()
	lease, coderUser = newUser(t, db, s), uuid.New()
	must(t, s.RecordUser(t.Context(), lease, coderUser, "ada", true))
	must(t, s.RecordTokenLife(t.Context(), lease.UserID, time.Hour))
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	must(t, s.Release(t.Context(), lease))
	return lease, coderUser
}

func TestAReplacedKeyIsRetired(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	lease, coderUser := withKey(t, db, s)
	must(t, s.Claim(ctx, lease, ttl))
	second := store.Key{Secret: "bbbbbbbbbb-x", ID: "bbbbbbbbbb", ExpiresAt: noon.Add(24 * time.Hour), Lifetime: 24 * time.Hour, MadeAt: noon}
	for range 2 { // a repeated statement retires nothing twice, and never the new key
		must(t, s.StoreKey(ctx, lease, second))
	}
	replaced := retired(t, s, lease.UserID)
	want := store.Retired{KeyID: "abcdefghij", UserID: lease.UserID, CoderUserID: coderUser, Until: noon.Add(70 * time.Minute)}
	if len(replaced) != 1 || !replaced[0].Until.Equal(want.Until) || replaced[0].KeyID != want.KeyID || replaced[0].CoderUserID != want.CoderUserID {
		t.Errorf("got %+v, want %+v", replaced, want)
	}
	got := lookup(t, s, lease.UserID)
	if got.KeyLifetime != 24*time.Hour || !got.KeyCheckedAt.Equal(noon) || got.TokenLife != time.Hour {
		t.Errorf("got %+v", got)
	}
	must(t, s.ForgetRetired(ctx, "abcdefghij"))
	if left := retired(t, s, lease.UserID); len(left) > 0 {
		t.Errorf("still retired: %v", left)
	}
}

func retired(t *testing.T, s *store.Store, user uuid.UUID) []store.Retired {
	t.Helper()
	keys, err := s.Retired(t.Context(), user)
	must(t, err)
	return keys
}

// How long its tokens live is not known: Supabase's limit of a week counts.
func TestAKeyOfUnknownTokensIsKeptForAWeek(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	lease, _ := withKey(t, db, s)
	db.Exec(t, `update coderhook.accounts set token_seconds = null`)
	must(t, s.Claim(ctx, lease, ttl))
	must(t, s.StoreKey(ctx, lease, store.Key{Secret: "bbbbbbbbbb-x", ID: "bbbbbbbbbb", MadeAt: noon}))
	if got := retired(t, s, lease.UserID); len(got) != 1 || !got[0].Until.Equal(noon.Add(7*24*time.Hour+10*time.Minute)) {
		t.Errorf("got %v", got)
	}
}

// A refused key is dead, or not ours: it is not kept, and not deleted.
func TestARefusedKeyIsNotRetired(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	lease, _ := withKey(t, db, s)
	must(t, s.RefuseKey(ctx, lease.UserID, "abcdefghij", noon, "gone"))
	if got := lookup(t, s, lease.UserID); !got.KeyRefused || got.LastError != "gone" || got.Status != store.Pending {
		t.Errorf("got %v", got)
	}
	must(t, s.Claim(ctx, lease, ttl))
	must(t, s.StoreKey(ctx, lease, store.Key{Secret: "bbbbbbbbbb-x", ID: "bbbbbbbbbb"}))
	if got, kept := lookup(t, s, lease.UserID), retired(t, s, lease.UserID); got.KeyRefused || len(kept) > 0 {
		t.Errorf("got %+v, retired %v", got, kept)
	}
}

func TestOneCheckPerInterval(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	lease, _ := withKey(t, db, s)
	check := func(at time.Time) error {
		return s.BeginCheck(ctx, lease.UserID, "abcdefghij", at, 10*time.Minute)
	}
	must(t, check(noon))
	wantErr(t, check(noon.Add(10*time.Minute-time.Second)), store.ErrSuperseded)
	must(t, check(noon.Add(10*time.Minute)))
	wantErr(t, s.BeginCheck(ctx, lease.UserID, "bbbbbbbbbb", noon.Add(time.Hour), 0), store.ErrSuperseded)
}

// What was learnt of a key changes nothing when there is another by now, or while somebody works.
func TestObservationsThatComeTooLate(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	lease, coderUser := withKey(t, db, s)
	id, other := lease.UserID, uuid.New()
	adoption := store.Adoption{UserID: id, Key: newKey(), CoderUser: other, Username: "eve"}
	for what, err := range map[string]error{
		"RefuseKey":     s.RefuseKey(ctx, id, "bbbbbbbbbb", noon, "x"),
		"MarkSuspended": s.MarkSuspended(ctx, id, "bbbbbbbbbb", "x"),
		"Rename":        s.Rename(ctx, id, other, "eve"),
		"Adopt":         s.Adopt(ctx, adoption),
	} {
		t.Log(what)
		wantErr(t, err, store.ErrSuperseded)
	}
	must(t, s.Claim(ctx, lease, ttl))
	adoption.CoderUser = coderUser
	for what, err := range map[string]error{
		"RefuseKey":        s.RefuseKey(ctx, id, "abcdefghij", noon, "x"),
		"MarkSuspended":    s.MarkSuspended(ctx, id, "abcdefghij", "x"),
		"RefuseUnknownKey": s.RefuseUnknownKey(ctx, id, "bbbbbbbbbb", noon, "x"),
		"Adopt":            s.Adopt(ctx, adoption),
	} {
		t.Log("while leased: " + what)
		wantErr(t, err, store.ErrSuperseded)
	}
	if got := lookup(t, s, id); got.Status != store.Active || got.KeyID != "abcdefghij" || got.CoderUsername != "ada" || got.KeyRefused {
		t.Errorf("changed all the same: %v", got)
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	coderUser, id := uuid.New(), uuid.New()
	key := newKey()
	key.Lifetime = 30 * 24 * time.Hour
	must(t, s.Adopt(ctx, store.Adoption{UserID: id, Key: key, CoderUser: coderUser, Username: "ada", Linked: true}))
	got := lookup(t, s, id)
	if got.KeyID != key.ID || !got.KeyExpiresAt.Equal(key.ExpiresAt) || got.KeyLifetime != key.Lifetime || !got.Linked || got.Status != store.Active {
		t.Errorf("got %+v", got)
	}
	wantErr(t, s.Adopt(ctx, store.Adoption{UserID: uuid.New(), Key: key, CoderUser: coderUser}), store.ErrTaken)

	failed := claimed(t, s, uuid.New(), "a mint that came to nothing")
	must(t, s.Release(ctx, failed))
	must(t, s.Adopt(ctx, store.Adoption{UserID: failed.UserID, Key: store.Key{ID: "bbbbbbbbbb"}, CoderUser: uuid.New(), Username: "bob"}))
	if got := lookup(t, s, failed.UserID); got.KeyID != "bbbbbbbbbb" || got.CoderUsername != "bob" || got.Status != store.Active {
		t.Errorf("into a row that was there: %+v", got)
	}
}

// What is learnt of a key that was found in the profile comes too late when the user has one of their own.
func TestAKeyOfTheUsersOwnIsNotOverwritten(t *testing.T) {
	t.Parallel()
	for name, overwrite := range map[string]func(*store.Store, uuid.UUID, uuid.UUID) error{
		"adopt": func(s *store.Store, id, coderUser uuid.UUID) error {
			key := store.Key{ID: "bbbbbbbbbb", MadeAt: noon}
			return s.Adopt(t.Context(), store.Adoption{UserID: id, Key: key, CoderUser: coderUser, Username: "ada"})
		},
		"refuse": func(s *store.Store, id, _ uuid.UUID) error {
			return s.RefuseUnknownKey(t.Context(), id, "bbbbbbbbbb", noon, "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, db := t.Context(), storetest.New(t)
			s := db.Store(t)
			lease, coderUser := withKey(t, db, s)
			must(t, s.Claim(ctx, lease, ttl))
			wantErr(t, overwrite(s, lease.UserID, coderUser), store.ErrSuperseded)
			must(t, s.Release(ctx, lease))
			wantErr(t, overwrite(s, lease.UserID, coderUser), store.ErrSuperseded)
			if got := lookup(t, s, lease.UserID); got.KeyID != "abcdefghij" || got.KeyRefused || got.Status != store.Active {
				t.Errorf("the account has %v", got)
			}
			// The same key may be looked into again, be it a retired one, unless it was refused meanwhile.
			again := store.Adoption{UserID: lease.UserID, Key: newKey(), CoderUser: coderUser, Username: "ada"}
			must(t, s.Retire(ctx, store.Retired{KeyID: "abcdefghij", UserID: lease.UserID, CoderUserID: coderUser, Until: noon}))
			must(t, s.Adopt(ctx, again))
			if got := retired(t, s, lease.UserID); len(got) > 0 {
				t.Errorf("in use, and still retired: %v", got)
			}
			must(t, s.RefuseKey(ctx, lease.UserID, "abcdefghij", noon, "dead"))
			wantErr(t, overwrite(s, lease.UserID, coderUser), store.ErrSuperseded)
			wantErr(t, s.Adopt(ctx, again), store.ErrSuperseded)
		})
	}
}

func TestTheLongestTokenCounts(t *testing.T) {
	t.Parallel()
	ctx, s, id := t.Context(), storetest.New(t).Store(t), uuid.New()
	for _, life := range []time.Duration{time.Hour, 3 * time.Hour, 2 * time.Hour} {
		must(t, s.RecordTokenLife(ctx, id, life))
	}
	token, key, err := s.Lives(ctx)
	if err != nil || token != 3*time.Hour || key != 0 {
		t.Errorf("%s, %s, %v", token, key, err)
	}
}

func TestTasks(t *testing.T) {
	t.Parallel()
	ctx, s := t.Context(), storetest.New(t).Store(t)
	mine, theirs := store.Task{Name: "x", Owner: "me"}, store.Task{Name: "x", Owner: "they"}
	claim := func(task store.Task, ttl time.Duration, wantFinished time.Time, want error) {
		t.Helper()
		finished, err := s.ClaimTask(ctx, task, ttl)
		wantErr(t, err, want)
		if !finished.Equal(wantFinished) {
			t.Errorf("finished %s, want %s", finished, wantFinished)
		}
	}
	claim(mine, ttl, time.Time{}, nil)
	claim(theirs, ttl, time.Time{}, store.ErrLeased)
	claim(mine, ttl, time.Time{}, nil)
	must(t, s.ReleaseTask(ctx, theirs, noon)) // not theirs to give back
	claim(theirs, ttl, time.Time{}, store.ErrLeased)
	must(t, s.ReleaseTask(ctx, mine, noon))
	claim(theirs, 0, noon, nil) // killed: its lease runs out
	claim(mine, ttl, noon, nil) // and the next one takes over
	must(t, s.ReleaseTask(ctx, mine, time.Time{}))
	claim(theirs, ttl, noon, nil)
}

func TestPages(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	db.Exec(t, `insert into coderhook.accounts (user_id, status) select gen_random_uuid(), 'active' from generate_series(1, 25)`)
	seen, after := map[uuid.UUID]bool{}, uuid.Nil
	for pages := 1; ; pages++ {
		entries, err := s.Page(ctx, after, 10)
		must(t, err)
		if len(entries) == 0 {
			if pages != 4 || len(seen) != 25 {
				t.Errorf("%d pages with %d entries", pages, len(seen))
			}
			return
		}
		for _, e := range entries {
			if seen[e.UserID] || !e.Known || e.Status != store.Active || e.CreatedAt.IsZero() {
				t.Errorf("entry %+v", e)
			}
			seen[e.UserID], after = true, e.UserID
		}
	}
}

func TestLinkIsAllOrNothing(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	former, coderUser := withKey(t, db, s)
	lease := newUser(t, db, s)
	link := store.Link{CoderUser: coderUser, Username: "ada", Actor: "root", Suspended: true}
	wantErr(t, s.Link(ctx, lease, link, noon), store.ErrTaken)
	link.From = uuid.New() // who never had it
	wantErr(t, s.Link(ctx, lease, link, noon), store.ErrSuperseded)
	other := newUser(t, db, s)
	must(t, s.RecordUser(ctx, other, uuid.New(), "bob", true))
	must(t, s.Release(ctx, other))
	link.From = other.UserID // who has another
	wantErr(t, s.Link(ctx, lease, link, noon), store.ErrSuperseded)
	link.From = former.UserID
	must(t, s.Claim(ctx, former, ttl)) // somebody is at work on it
	wantErr(t, s.Link(ctx, lease, link, noon), store.ErrSuperseded)
	must(t, s.Release(ctx, former))
	wantErr(t, s.Link(ctx, store.Lease{UserID: lease.UserID, Owner: "stale"}, link, noon), store.ErrLeaseLost)
	if got := lookup(t, s, former.UserID); got.CoderUserID != coderUser {
		t.Errorf("half of it was done: %v", got)
	}
	must(t, s.Link(ctx, lease, link, noon))
	if was, is := lookup(t, s, former.UserID), lookup(t, s, lease.UserID); was.CoderUserID != uuid.Nil || is.CoderUserID != coderUser || !is.SuspendedByUs {
		t.Errorf("was %v, is %v", was, is)
	}
	if got := storetest.Query[string](t, db, `select actor || ': ' || detail from coderhook.audit where action = 'link'`); got != "root: Coder user ada, until now of "+former.UserID.String() {
		t.Errorf("audit: %q", got)
	}
}

func TestOffboardAndBack(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	lease, _ := withKey(t, db, s)
	must(t, s.Claim(ctx, lease, ttl))
	must(t, s.IntendSuspension(ctx, lease))
	must(t, s.Offboard(ctx, lease, noon))
	if got := lookup(t, s, lease.UserID); got.Status != store.Offboarded || !got.SuspendedByUs || !got.KeyRefused || got.KeyID == "" {
		t.Errorf("off-boarded: %+v", got)
	}
	must(t, s.Reactivate(ctx, lease))
	if got := lookup(t, s, lease.UserID); got.Status != store.Pending || got.SuspendedByUs || !got.KeyRefused {
		t.Errorf("back: %+v", got)
	}
	must(t, s.Remove(ctx, lease))
	if got := lookup(t, s, lease.UserID); got.Known {
		t.Errorf("removed: %v", got)
	}
	wantErr(t, s.Remove(ctx, lease), store.ErrLeaseLost)
}

// An installation of before key care was thought of is brought up to date, and keeps its data.
func TestMigrationOfAnOlderLedger(t *testing.T) {
	t.Parallel()
	db := storetest.Bare(t)
	_, contents := files(t)
	for _, sql := range contents[:3] {
		must(t, storetest.RunScript(t.Context(), db.URL, sql))
	}
	id := uuid.New()
	db.Exec(t, `insert into coderhook.accounts (user_id, key_id, status) values ($1, 'abcdefghij', 'active')`, id)
	must(t, second(store.Migrate(t.Context(), store.Config{URL: db.URL})))
	db.Exec(t, `alter role coderhook login password 'throwaway'`)
	if got := lookup(t, db.Store(t), id); got.KeyID != "abcdefghij" || got.KeyRefused || got.Linked {
		t.Errorf("got %+v", got)
	}
}
