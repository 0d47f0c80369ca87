package main

import (
	"net/http"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// What explain says would happen is what happens.
func TestExplain(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	user := db.AddUser(t, "Ada@example.com")
	variables := cmdtest.Variables()
	variables["DATABASE_URL"] = db.RoleURL("coderhook")
	variables["CODER_URL"], variables["CODER_OWNER_TOKEN"] = coder.URL, coder.OwnerToken
	says := func(who, want string) {
		t.Helper()
		out, err := command(t, variables, "explain", "--user", who)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %s%v, want %q", who, out, err, want)
		}
	}
	says(user.String(), "makes a Coder user, then a key, before it answers: there is none")
	says(uuid.NewString(), "no such user")

	p := cmdtest.Start(t, db, coder)
	key, _, err := p.Mint(t.Context(), http.DefaultClient, user, "ada@example.com")
	if err != nil || key == "" {
		t.Fatalf("key %q, error %v", key, err)
	}
	p.Stop(t)
	says("ada@EXAMPLE.com", "carries the key "+key[:10]+": it lives until")
	says(user.String(), "Coder user "+user.String()[:8])
	says(user.String(), user.String()[:8]+", dormant, ada@example.com\n")
	db.Exec(t, `update auth.users set email = 'lovelace@example.com'`)
	says(user.String(), "ada@example.com: not the address that Supabase has of this user\n")
	second := db.AddUser(t, "ada@example.com")
	says(user.String(), "not the address that Supabase has of this user, but that of "+second.String())
	db.Exec(t, `insert into coderhook.accounts (user_id, status, last_error) values ($1, 'conflict', 'needs an operator: a Coder account with this e-mail exists that was not made for this user')`, second)
	says(second.String(), "ways out       coderhook link --user "+second.String())
	db.Exec(t, `delete from coderhook.accounts where user_id = $1`, second)
	db.Exec(t, `delete from auth.users where id = $1`, second)
	db.Exec(t, `update auth.users set email = 'ada@example.com'`)

	for sql, want := range map[string]string{
		`update coderhook.accounts set key_expires_at = now() + interval '2 days'`:                                "within its renewal window",
		`update coderhook.accounts set key_expires_at = now() + interval '1 minute'`:                              "before the token does",
		`update coderhook.accounts set key_expires_at = now() - interval '1 minute'`:                              "the one that the profile holds ended at",
		`update coderhook.accounts set key_id = 'elsewhere1'`:                                                     "is not the user's own, elsewhere1: somebody else wrote it",
		`update coderhook.accounts set key_id = null`:                                                             "the ledger does not know it",
		`update public.profiles set api_key = 'rubbish'`:                                                          "has not the form of a key",
		`update coderhook.accounts set status = 'suspended', last_error = 'left the company', updated_at = now()`: "left the company",
		`update coderhook.accounts set status = 'suspended', updated_at = now() - interval '1 hour'`:              "suspended in Coder",
		`update auth.users set banned_until = now() + interval '1 day'`:                                           "banned until",
		`update coderhook.accounts set lease_owner = 'x', lease_until = now() + interval '1 minute', key_id = null, key_expires_at = null, status = 'pending'; update public.profiles set api_key = null`: "waits for another mint",
	} {
		t.Run(want, func(t *testing.T) {
			before := storetest.QueryAll[string](t, db, `select to_jsonb(a)::text from coderhook.accounts a union all select to_jsonb(p)::text from public.profiles p`)
			db.Script(t, sql)
			says(user.String(), want)
			restore(t, db, before)
		})
	}
	if _, err := command(t, variables, "explain", "--user", "nobody@example.com"); err == nil || !strings.Contains(err.Error(), "neither an id nor the e-mail") {
		t.Errorf("got %v", err)
	}
}

// restore puts the rows of ledger and profile back.
func restore(t *testing.T, db *storetest.DB, rows []string) {
	t.Helper()
	db.Exec(t, `delete from coderhook.accounts`)
	db.Exec(t, `insert into coderhook.accounts select * from jsonb_populate_record(null::coderhook.accounts, $1::text::jsonb)`, rows[0])
	db.Exec(t, `delete from public.profiles`)
	db.Exec(t, `insert into public.profiles select * from jsonb_populate_record(null::public.profiles, $1::text::jsonb)`, rows[1])
	db.Exec(t, `update auth.users set banned_until = null`)
}
