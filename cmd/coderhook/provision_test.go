package main

import (
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store/storetest"
)

// bulk adds users, of whom each tenth is anonymous, and each tenth is banned.
func bulk(t *testing.T, db *storetest.DB, count int) {
	t.Helper()
	db.Exec(t, `insert into auth.users (id, role, email, is_anonymous, banned_until, raw_app_meta_data)
		select gen_random_uuid(), 'authenticated', case when i % 10 <> 4 then 'user' || i || '@example.com' end, i % 10 = 4,
		       case when i % 10 = 5 then 'infinity'::timestamptz end, jsonb_build_object('plan', case when i % 2 = 0 then 'pro' end)
		  from generate_series(1, $1::int) as i`, count)
}

// Users come in pages of five hundred. A second run finds that there is nothing to do.
func TestProvisionAll(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	bulk(t, db, 600)
	out, err := upkeepCommand(t, db, coder, nil, "provision", "--all", "--dry-run", "--where", `claims.app_metadata.plan == "pro"`)
	if err != nil || !strings.Contains(out, "540 users may sign in: 0 have a key, 240 get one (240 with a new account).") || len(coder.Users()) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = upkeepCommand(t, db, coder, nil, "provision", "--all", "--where", `claims.app_metadata.plan == "pro"`)
	if err != nil || !strings.Contains(out, "240 keys made, 0 were there") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, want := range []string{"240 keys made, 240 were there", "0 keys made, 480 were there"} {
		out, err = upkeepCommand(t, db, coder, nil, "provision", "--all")
		if err != nil || !strings.Contains(out, "540 of about 540 users") || !strings.Contains(out, want) {
			t.Errorf("%v\n%s", err, out)
		}
	}
	if n := storetest.Query[int](t, db, `select count(*) from public.profiles where api_key is not null`); n != 480 {
		t.Errorf("%d profiles have a key", n)
	}
	if n := len(coder.Users()); n != 480 {
		t.Errorf("Coder has %d users, want 480", n)
	}
}

// No token has carried a key that was made ahead: where tokens carry none, it is not replaced for that; where they do, the
// first one that does is written down.
func TestProvisionedKeysAreInNoToken(t *testing.T) {
	t.Parallel()
	for _, inClaims := range []string{"true", "false"} {
		db, coder := storetest.New(t), cmdtest.Coder(t)
		bulk(t, db, 1)
		if out, err := upkeepCommand(t, db, coder, map[string]string{"KEY_IN_CLAIMS": inClaims}, "provision", "--all"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if n := storetest.Query[int](t, db, `select count(*) from coderhook.accounts where unseen_key_id = key_id`); n != 1 {
			t.Errorf("KEY_IN_CLAIMS=%s: %d keys are known as in no token", inClaims, n)
		}
	}
}
