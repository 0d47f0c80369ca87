package store_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

const sealSecret, nextSecret = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"

func sealing(t *testing.T, db *storetest.DB, secrets ...string) *store.Store {
	t.Helper()
	return storetest.Open(t, store.Config{URL: db.RoleURL("coderhook"), LedgerSecrets: secrets})
}

// sealedAccount has a Coder user and a key.
func sealedAccount(t *testing.T, db *storetest.DB, s *store.Store) (store.Lease, uuid.UUID) {
	t.Helper()
	lease, coderUser := newUser(t, db, s), uuid.New()
	must(t, s.RecordUser(t.Context(), lease, coderUser, "ada", true))
	must(t, s.StoreKey(t.Context(), lease, newKey()))
	return lease, coderUser
}

func wantSeal(t *testing.T, s *store.Store, user uuid.UUID, want store.SealState) {
	t.Helper()
	got := lookup(t, s, user)
	if got.Seal != want {
		t.Errorf("seal is %d, want %d: %v", got.Seal, want, got)
	}
	page, err := s.Page(t.Context(), uuid.Nil, 100)
	must(t, err)
	for _, entry := range page {
		if entry.UserID == user && entry.Seal != want {
			t.Errorf("on the page the seal is %d, want %d", entry.Seal, want)
		}
	}
}

// Whatever the server does with an account, it leaves a good seal.
func TestTheSealIsKept(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := sealing(t, db, sealSecret)
	lease, coderUser := sealedAccount(t, db, s)
	link := store.Link{CoderUser: coderUser, Username: "ada", Actor: "root", Foreign: true}
	former, formerUser := sealedAccount(t, db, s)
	must(t, s.Release(ctx, former))
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"as it is", func() error { return nil }},
		{"suspended", func() error { return s.IntendSuspension(ctx, lease) }},
		{"off-boarded", func() error { return s.Offboard(ctx, lease, noon) }},
		{"is back", func() error { return s.Reactivate(ctx, lease) }},
		{"another key", func() error { return s.StoreKey(ctx, lease, store.Key{Secret: "b", ID: "bbbbbbbbbb"}) }},
		{"forgotten", func() error { return s.ForgetUser(ctx, lease) }},
		{"linked", func() error { return s.Link(ctx, lease, link, noon) }},
		{"suspended when linked", func() error { return s.IntendSuspension(ctx, lease) }},
		{"the same user again", func() error { return s.RecordUser(ctx, lease, coderUser, "ada2", true) }},
		{"another user", func() error { return s.RecordUser(ctx, lease, uuid.New(), "ada3", true) }},
		{"forgotten again", func() error { return s.ForgetUser(ctx, lease) }},
		{"linked from another", func() error {
			return s.Link(ctx, lease, store.Link{CoderUser: formerUser, Username: "x", From: former.UserID}, noon)
		}},
	} {
		must(t, step.do())
		t.Log(step.name)
		wantSeal(t, s, lease.UserID, store.SealGood)
		wantSeal(t, s, former.UserID, store.SealGood)
	}
	adopted := store.Adoption{UserID: uuid.New(), Key: newKey(), CoderUser: uuid.New(), Username: "bob", Linked: true}
	for range 2 {
		must(t, s.Adopt(ctx, adopted))
		wantSeal(t, s, adopted.UserID, store.SealGood)
	}
}

// Who has the role's password can write anything into the ledger, but for a seal.
func TestARowThatSomebodyElseChangedIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change string
		want   store.SealState
		err    error
	}{
		"another Coder user": {`coder_user_id = gen_random_uuid()`, store.SealBroken, store.ErrSealBroken},
		"ours, not linked":   {`linked = true`, store.SealBroken, store.ErrSealBroken},
		"suspended by us":    {`suspended_by_us = true`, store.SealBroken, store.ErrSealBroken},
		"a seal of nothing":  {`seal = '\x00'`, store.SealBroken, store.ErrSealBroken},
		"no seal":            {`seal = null`, store.SealNone, store.ErrUnsealed},
		"an empty seal":      {`seal = ''`, store.SealNone, store.ErrUnsealed},
		"no seal, suspended": {`seal = null, suspended_by_us = true`, store.SealNone, store.ErrUnsealed},
		"nobody, suspended":  {`coder_user_id = null, suspended_by_us = true`, store.SealBroken, store.ErrSealBroken},
		"another's seal":     {`seal = (select b.seal from coderhook.accounts b where b.user_id <> a.user_id limit 1)`, store.SealBroken, store.ErrSealBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, db := t.Context(), storetest.New(t)
			s := sealing(t, db, sealSecret)
			lease, coderUser := sealedAccount(t, db, s)
			sealedAccount(t, db, s)
			must(t, storetest.RunScript(ctx, db.RoleURL("coderhook"), `update coderhook.accounts a set `+c.change))
			wantSeal(t, s, lease.UserID, c.want)
			wantErr(t, lookup(t, s, lease.UserID).Distrust(), c.err)
			before := lookup(t, s, lease.UserID)
			wantErr(t, s.RecordUser(ctx, lease, coderUser, "ada", true), c.err)
			wantErr(t, s.ForgetUser(ctx, lease), c.err)
			wantErr(t, s.IntendSuspension(ctx, lease), c.err)
			wantErr(t, s.Reactivate(ctx, lease), c.err)
			wantErr(t, s.Link(ctx, lease, store.Link{CoderUser: coderUser, Username: "ada"}, noon), c.err)
			must(t, s.Release(ctx, lease))
			wantErr(t, s.Adopt(ctx, store.Adoption{UserID: lease.UserID, Key: newKey(), CoderUser: coderUser}), c.err)
			after := lookup(t, s, lease.UserID)
			before.LeaseUntil, before.Leased = time.Time{}, false
			if !reflect.DeepEqual(after, before) {
				t.Errorf("changed from %+v to %+v", before, after)
			}
			must(t, s.Seal(ctx, after)) // on an operator's word
			wantSeal(t, s, lease.UserID, store.SealGood)
			after.Linked = !after.Linked
			wantErr(t, s.Seal(ctx, after), store.ErrSuperseded)
		})
	}
}

// A row of somebody else's making gives them nobody's account.
func TestAnInsertedRowIsNotBelieved(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s, eve := sealing(t, db, sealSecret), uuid.New()
	_, coderUser := sealedAccount(t, db, s)
	must(t, storetest.RunScript(t.Context(), db.RoleURL("coderhook"), `update coderhook.accounts set coder_user_id = null where coder_user_id = '`+coderUser.String()+`';
		insert into coderhook.accounts (user_id, coder_user_id, status) values ('`+eve.String()+`', '`+coderUser.String()+`', 'active')`))
	wantSeal(t, s, eve, store.SealNone)
}

func TestSecretsOfTheSealAreRotated(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	lease, _ := sealedAccount(t, db, sealing(t, db, sealSecret))
	both := sealing(t, db, nextSecret, sealSecret)
	wantSeal(t, both, lease.UserID, store.SealOld)
	must(t, lookup(t, both, lease.UserID).Distrust())
	must(t, both.IntendSuspension(ctx, lease))
	wantSeal(t, both, lease.UserID, store.SealGood)
	next := sealing(t, db, nextSecret)
	wantSeal(t, next, lease.UserID, store.SealGood)
	wantSeal(t, sealing(t, db, sealSecret), lease.UserID, store.SealBroken)

	// A replica without the secret breaks no seal by what it does with keys, and makes none.
	none := db.Store(t)
	must(t, none.StoreKey(ctx, lease, store.Key{Secret: "b", ID: "bbbbbbbbbb"}))
	wantSeal(t, next, lease.UserID, store.SealGood)
	must(t, none.Reactivate(ctx, lease))
	wantSeal(t, next, lease.UserID, store.SealNone)
	wantSeal(t, none, lease.UserID, store.SealGood)
	if err := none.Seal(ctx, lookup(t, none, lease.UserID)); err == nil {
		t.Error("sealed without a secret")
	}
}

// Every statement that changes what is sealed takes the seal away, so that it is put on again.
func TestNoStatementLeavesAStaleSeal(t *testing.T) {
	t.Parallel()
	found := 0
	for _, statement := range regexp.MustCompile("`[^`]*`").FindAllString(ourSQL(t), -1) {
		_, assigned, updates := strings.Cut(statement, "coderhook.accounts")
		assigned, _, _ = strings.Cut(assigned, " where ")
		if !updates || !regexp.MustCompile(`\b(coder_user_id|linked|suspended_by_us)\s+= `).MatchString(assigned) || !strings.Contains(assigned, "set") {
			continue
		}
		found++
		if !regexp.MustCompile(`\bseal\s+= null`).MatchString(assigned) {
			t.Errorf("leaves a seal that does not fit any more: %s", statement)
		}
	}
	if found < 6 {
		t.Errorf("found %d statements only", found)
	}
}

func TestSealSecrets(t *testing.T) {
	t.Parallel()
	for secret, good := range map[string]bool{"": false, "short": false, sealSecret[1:]: false, sealSecret: true} {
		if err := store.CheckSealSecret(secret); (err == nil) != good || err != nil && secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("%d characters: %v", len(secret), err)
		}
	}
}
