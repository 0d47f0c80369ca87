package main

import (
	"errors"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

func TestSealCommand(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	id := departed(t, db, coder)
	eve, mallory := uuid.New(), coder.AddUser("mallory", "mallory@example.com", "none")
	db.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id) values ($1, $2)`, eve, mallory.ID)
	secret := map[string]string{"LEDGER_SECRET": cmdtest.RandomSecret()}
	sealed := func(user uuid.UUID) bool {
		return storetest.Query[bool](t, db, `select seal is not null from coderhook.accounts where user_id = $1`, user)
	}
	if _, err := upkeepCommand(t, db, coder, nil, "seal", "--yes"); err == nil || !strings.Contains(err.Error(), "LEDGER_SECRET is not set") {
		t.Errorf("without a secret: %v", err)
	}
	if _, err := upkeepCommand(t, db, coder, secret, "seal"); err == nil || !strings.Contains(err.Error(), "--yes") {
		t.Errorf("with nobody to ask: %v", err)
	}
	out, err := upkeepCommand(t, db, coder, secret, "seal", "--dry-run")
	if err != nil || !strings.Contains(out, "0 rows are sealed, 0 with a secret that is being replaced, 2 have no seal, the seals of 0 do not fit.") || sealed(id) {
		t.Errorf("%v: %s", err, out)
	}
	out, err = upkeepCommand(t, db, coder, secret, "seal", "--yes")
	if err == nil || !strings.Contains(out, eve.String()+" is left without a seal: its Coder user mallory is not named after this user") || !sealed(id) || sealed(eve) {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := upkeepCommand(t, db, coder, secret, "seal", "--yes", "--user", eve.String()); err != nil || !sealed(eve) {
		t.Errorf("%v: %s", err, out)
	}
	for _, args := range [][]string{{"reconcile"}, {"revoke", "--user", id.String()}, {"link", "--user", uuid.NewString(), "--coder-user", "mallory", "--yes"}} {
		if out, err := upkeepCommand(t, db, coder, nil, args...); !errors.Is(err, store.ErrSecretMissing) || !sealed(id) {
			t.Errorf("%v without the secret: %v\n%s", args, err, out)
		}
	}
	if _, err := upkeepCommand(t, db, coder, secret, "seal", "--yes", "--user", uuid.NewString()); err == nil || !strings.Contains(err.Error(), "no row that needs a seal") {
		t.Errorf("of nobody: %v", err)
	}
}

func TestDoctorLooksAtTheSeals(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, cmdtest.Coder(t))
	finds := func(want string) {
		t.Helper()
		for _, f := range w.Doctor(t) {
			if f.Check == "seals of the ledger" {
				if got := string(f.Result) + " " + f.Found; !strings.Contains(got, want) || f.Cure == "" {
					t.Errorf("got %s (%s), want %q", got, f.Cure, want)
				}
				return
			}
		}
		if want != "" {
			t.Errorf("nothing found, want %q", want)
		}
	}
	finds("")
	w.DB.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id) values (gen_random_uuid(), gen_random_uuid())`)
	finds("failure 1 rows have none")
	w.DB.Exec(t, `update coderhook.accounts set seal = '\x01'`)
	finds("failure 1 rows were changed by somebody else")
	w.Variables["LEDGER_SECRET"] = ""
	finds("warning there are none: whoever has the password")
}
