package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// What got out ends, and nothing new is put where everybody would read it.
func TestRevokeMakesNoKeyThatEverybodyCanRead(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	user := departed(t, db, coder)
	db.Exec(t, `insert into auth.users (id, email) values ($1, 'ada@example.com')`, user)
	db.Exec(t, `grant select on public.profiles to anon, authenticated`)
	db.Exec(t, `create policy everybody on public.profiles for select using (true)`)
	out, err := upkeepCommand(t, db, coder, nil, "revoke", "--user", user.String())
	if err != nil || !strings.Contains(out, "1 of our keys ended; no new key yet") || !strings.Contains(out, "keys are readable by others") || len(coder.TokensOf("ada0ada0")) > 0 {
		t.Errorf("%v, %d tokens:\n%s", err, len(coder.TokensOf("ada0ada0")), out)
	}
	out, err = upkeepCommand(t, db, coder, map[string]string{"ALLOW_READABLE_KEYS": "true"}, "revoke", "--user", user.String())
	if err != nil || !strings.Contains(out, "a new one is made") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestRevokeCommand(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	user := departed(t, db, coder)
	db.Exec(t, `insert into auth.users (id, email) values ($1, 'ada@example.com')`, user)
	coder.AddToken("ada0ada0", "her-own", time.Hour)
	out, err := upkeepCommand(t, db, coder, nil, "revoke", "--user", "ADA@example.com", "--why", "lost laptop")
	if err != nil || !strings.Contains(out, "1 of our keys ended; 1 tokens that we did not make go on: --all-tokens ends them as well; a new one is made") {
		t.Errorf("%v:\n%s", err, out)
	}
	out, err = upkeepCommand(t, db, coder, nil, "revoke", "--user", user.String(), "--all-tokens")
	if err != nil || !strings.Contains(out, "1 of our keys ended, and 1 tokens that we did not make; a new one is made") {
		t.Errorf("%v:\n%s", err, out)
	}
	if left := coder.TokensOf("ada0ada0"); len(left) != 1 {
		t.Errorf("%d tokens", len(left))
	}
	out, err = upkeepCommand(t, db, coder, nil, "revoke", "--everybody", "--yes", "--all-tokens")
	if err != nil || !strings.Contains(out, "1 of about 1 accounts") || !strings.Contains(out, "0 failed, 0 without a new key yet") {
		t.Errorf("%v:\n%s", err, out)
	}
	for want, args := range map[string][]string{
		"nobody is there to ask":             {"revoke", "--everybody"},
		"neither an id nor the e-mail":       {"revoke", "--user", "bob@example.com"},
		"there is neither a Coder account":   {"revoke", "--user", uuid.NewString()},
		"missing flags":                      {"revoke"},
		"can't be used together":             {"revoke", "--everybody", "--user", "x"},
		"neither a duration like 36h nor a ": {"audit", "--since", "yesterday"},
	} {
		if out, err := upkeepCommand(t, db, coder, nil, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	out, err = upkeepCommand(t, db, coder, nil, "audit", "--user", "ada@example.com")
	if err != nil || !strings.Contains(out, "lost laptop  by "+actor()) || strings.Count(out, "key-made") != 3 {
		t.Errorf("%v:\n%s", err, out)
	}
	out, err = upkeepCommand(t, db, coder, nil, "audit", "--json", "--since", "2020-01-01T00:00:00Z")
	for line := range strings.Lines(out) {
		var row map[string]string
		if err := json.Unmarshal([]byte(line), &row); err != nil || row["user_id"] != user.String() || row["at"] == "" {
			t.Errorf("%v: %s", err, line)
		}
	}
	if err != nil || strings.Count(out, "\n") != 6 {
		t.Errorf("%v:\n%s", err, out)
	}
	if out, err = upkeepCommand(t, db, coder, nil, "audit", "--since", "0s"); err != nil || out != "" {
		t.Errorf("%v:\n%s", err, out)
	}
}

// Two people can have one address: which of them is meant must be said.
func TestRevokeOfAnAddressOfTwo(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	db.Exec(t, `drop index if exists auth.users_email_partial_key`)
	one, other := db.AddUser(t, "ada@example.com"), db.AddUser(t, "Ada@example.com")
	_, err := upkeepCommand(t, db, coder, nil, "revoke", "--user", "ada@example.com")
	if err == nil || !strings.Contains(err.Error(), one.String()) || !strings.Contains(err.Error(), other.String()) {
		t.Errorf("%v", err)
	}
}
