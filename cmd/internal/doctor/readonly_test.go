package doctor_test

import (
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"
)

func TestDoctorFindsASettingThatForbidsWrites(t *testing.T) {
	t.Parallel()
	for _, of := range []string{"database %I", "role coderhook in database %I"} {
		w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
		w.DB.Exec(t, `do $$ begin execute format('alter `+of+` set default_transaction_read_only = on', current_database()); end $$`)
		found := w.Doctor(t)
		cmdtest.WantResults(t, found, "failure database takes writes")
		if !strings.Contains(found[0].Cure, "full") {
			t.Errorf("cure: %s", found[0].Cure)
		}
		w.DB.Script(t, found[0].SQL) // as superuser: the database is not the product's
		cmdtest.WantResults(t, w.Doctor(t))
	}
}

// What the URL itself sets, the database can't take back.
func TestDoctorFindsAURLThatForbidsWrites(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	separator := "?"
	if strings.Contains(w.Variables["DATABASE_URL"], "?") {
		separator = "&"
	}
	w.Variables["DATABASE_URL"] += separator + "default_transaction_read_only=on"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure database takes writes")
	if !strings.Contains(found[0].Cure, "parameters of DATABASE_URL") {
		t.Errorf("cure: %s", found[0].Cure)
	}
}

func TestDoctorFindsAStandby(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	db, server := storetest.Own(t)
	w.DB, w.Variables["DATABASE_URL"] = db, db.RoleURL("coderhook")
	cmdtest.WantResults(t, w.Doctor(t))
	server.Halt(pgserver.Fast)
	if err := server.ResumeAsStandby(t.Context()); err != nil {
		t.Fatal(err)
	}
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure database takes writes")
	for _, want := range []string{"primary's address", "target_session_attrs=read-write"} {
		if !strings.Contains(found[0].Cure, want) {
			t.Errorf("the cure does not name %s: %s", want, found[0].Cure)
		}
	}
	db.Script(t, `select pg_promote()`)
	cmdtest.WantResults(t, w.Doctor(t))
}

// Two roles that take turns have the rights of coderhook.
func TestDoctorIsContentWithAMemberOfTheRole(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	db, _ := storetest.Own(t)
	if err := storetest.RunScript(t.Context(), db.RoleURL(pgserver.ProductAdmin), `create role coderhook_b login password 'throwaway' in role coderhook`); err != nil {
		t.Fatal(err)
	}
	w.DB, w.Variables["DATABASE_URL"] = db, db.RoleURL("coderhook_b")
	cmdtest.WantResults(t, w.Doctor(t))
}
