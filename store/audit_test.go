package store_test

import (
	"fmt"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func actions(t *testing.T, s *store.Store, user uuid.UUID) (said []string) {
	t.Helper()
	must(t, s.Events(t.Context(), user, time.Time{}, func(e store.Event) error {
		said = append(said, fmt.Sprintf("%s %s %s", e.Action, e.KeyID, e.Detail))
		return nil
	}))
	return said
}

func TestWhatChangesAnAccountLeavesAnAuditRow(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	user, coderUser := db.AddUser(t, "a@example.com"), uuid.New()
	lease := claimed(t, s, user, "me")
	must(t, s.RecordUser(ctx, lease, coderUser, "ada", true))
	first := newKey()
	first.Reason = "first"
	must(t, s.StoreKey(ctx, lease, first))
	second := store.Key{Secret: "bbbbbbbbbb-1234567890123456789012", ID: "bbbbbbbbbb", ExpiresAt: noon.Add(time.Hour), Reason: "renewal"}
	must(t, s.StoreKey(ctx, lease, second))
	must(t, s.Release(ctx, lease))
	must(t, s.RefuseKey(ctx, user, second.ID, noon, "Coder does not take it"))
	must(t, s.Claim(ctx, lease, ttl))
	must(t, s.Offboard(ctx, lease, noon))
	must(t, s.Reactivate(ctx, lease))
	must(t, s.Revoke(ctx, lease, noon, "root", "a laptop was stolen"))
	must(t, s.Note(ctx, store.Event{Action: store.KeyPlanted, UserID: user, KeyID: "cccccccccc"}))
	want := []string{
		"account-made  Coder user ada",
		"key-made abcdefghij first",
		"key-retired abcdefghij replaced by bbbbbbbbbb",
		"key-made bbbbbbbbbb renewal",
		"key-dead bbbbbbbbbb Coder does not take it",
		"off-boarded bbbbbbbbbb ",
		"back bbbbbbbbbb ",
		"revoked bbbbbbbbbb a laptop was stolen",
		"key-planted cccccccccc ",
	}
	if diff := cmp.Diff(want, actions(t, s, user)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, actions(t, s, uuid.Nil)); diff != "" {
		t.Errorf("of everybody: %s", diff)
	}
	if said := actions(t, s, uuid.New()); said != nil {
		t.Errorf("of somebody else: %v", said)
	}
	if who := storetest.Query[string](t, db, `select string_agg(distinct actor, ' ' order by actor) from coderhook.audit`); who != "coderhook root" {
		t.Errorf("by %s", who)
	}
}

func TestWhatChangesNothingLeavesNoAuditRow(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), storetest.New(t)
	s := db.Store(t)
	lease, coderUser := withKey(t, db, s)
	before := len(actions(t, s, uuid.Nil))
	stale := store.Lease{UserID: lease.UserID, Owner: "stale"}
	wantErr(t, s.RecordUser(ctx, stale, coderUser, "eve", true), store.ErrLeaseLost)
	wantErr(t, s.StoreKey(ctx, stale, newKey()), store.ErrLeaseLost)
	wantErr(t, s.Offboard(ctx, stale, noon), store.ErrLeaseLost)
	wantErr(t, s.Revoke(ctx, stale, noon, "root", ""), store.ErrLeaseLost)
	wantErr(t, s.RefuseKey(ctx, lease.UserID, "otherother", noon, ""), store.ErrSuperseded)
	if after := actions(t, s, uuid.Nil); len(after) != before {
		t.Errorf("%v", after)
	}
}

func TestAuditTrailIsReadPageByPage(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	db.Exec(t, `insert into coderhook.audit (actor, action, user_id, detail)
		select 'me', 'key-made', gen_random_uuid(), n::text from generate_series(1, 2500) as n`)
	n := 0
	must(t, s.Events(t.Context(), uuid.Nil, time.Now().Add(-time.Hour), func(e store.Event) error {
		if n++; e.Detail != fmt.Sprint(n) {
			return fmt.Errorf("row %d is %s", n, e.Detail)
		}
		return nil
	}))
	if n != 2500 {
		t.Errorf("%d rows", n)
	}
}

// The role's password may be in other hands: what it did last week can't be wiped out with it.
func TestAuditTrailOfAWeekStays(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	db.Exec(t, `insert into coderhook.audit (at, actor, action, user_id, detail)
		select now() - make_interval(days => n), 'me', 'key-made', gen_random_uuid(), '' from generate_series(0, 100) as n`)
	deleted, err := s.PruneAudit(t.Context(), 90*24*time.Hour)
	if must(t, err); deleted != 11 {
		t.Errorf("%d deleted, want those from day 90 on", deleted)
	}
	if deleted, err = s.PruneAudit(t.Context(), 0); err != nil || deleted != 90-7 {
		t.Errorf("%d deleted, %v", deleted, err)
	}
	for _, sql := range []string{`delete from coderhook.audit`, `truncate coderhook.audit`, `update coderhook.audit set detail = ''`} {
		if !refused(t, db, "coderhook", sql) {
			t.Errorf("the role may: %s", sql)
		}
	}
	for _, role := range []string{"anon", "authenticated", "service_role"} {
		if !refused(t, db, role, `select coderhook.prune_audit('0')`) {
			t.Errorf("%s may delete", role)
		}
	}
}
