package store_test

import (
	"strings"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
)

// A statement that succeeds says little where the table has triggers, rules and policies of the
// product's: what counts is what the row holds in the end.
func TestStoreKeyIsRefusedByATableThatKeepsSomethingElse(t *testing.T) {
	t.Parallel()
	trigger := func(when, body string) string {
		return `create function meddle() returns trigger language plpgsql security definer as $$ begin ` + body + `; return null; end $$;
			create trigger meddle ` + when + ` on public.profiles for each row execute function meddle()`
	}
	const update, insert = "before update", "before insert"
	for name, c := range map[string]struct {
		setUp, want string
		fresh       bool // there is no profile yet
	}{
		"old value is kept":          {trigger(update, `new.api_key := old.api_key; return new`), "something else", false},
		"old row is returned":        {trigger(update, `return old`), "something else", false},
		"no row is returned":         {trigger(update, `return null`), "can't be updated", false},
		"value is altered":           {trigger(update, `new.api_key := upper(new.api_key); return new`), "something else", false},
		"value is cleared later":     {trigger("after update", `if new.api_key is not null then update public.profiles set api_key = null where id = new.id; end if`), "something else", false},
		"update is a rule's":         {`create rule quiet as on update to public.profiles do instead nothing`, "can't be updated", false},
		"update of another column":   {`create rule quiet as on update to public.profiles do instead update public.profiles p set id = p.id where p.id = new.id and false`, "", false},
		"row is hidden":              {`drop policy coderhook_select on public.profiles`, "", false},
		"new row is not inserted":    {trigger(insert, `return null`), "no row", true},
		"new row has another value":  {trigger(insert, `new.api_key := null; return new`), "something else", true},
		"insert is a rule's":         {`create rule quiet as on insert to public.profiles do instead nothing`, "no row", true},
		"new row is hidden":          {`drop policy coderhook_select on public.profiles`, "no row", true},
		"new row is deleted at once": {trigger("after insert", `delete from public.profiles where id = new.id`), "no row", true},
		"no unique id, no row returned": {`alter table public.profiles drop constraint profiles_pkey; ` +
			trigger(update, `return null`), "something else", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			s := db.Store(t)
			lease := newUser(t, db, s)
			if !c.fresh {
				db.Exec(t, `insert into public.profiles (id) values ($1)`, lease.UserID)
			}
			db.Script(t, c.setUp)
			err := s.StoreKey(t.Context(), lease, newKey())
			wantErr(t, err, store.ErrProfile)
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "0123456789") {
				t.Errorf("%v", err)
			}
			wantNothingStored(t, s, lease.UserID)
		})
	}
}
