package doctor_test

import (
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
)

func TestDoctorComparesAddresses(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, cmdtest.Coder(t))
	finds := func(want, also string) {
		t.Helper()
		got := ""
		for _, f := range w.Doctor(t) {
			if f.Check == "addresses of accounts" {
				got = string(f.Result) + " " + f.Found
			}
		}
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) || !strings.Contains(got, also) {
			t.Errorf("got %q, want %q with %q", got, want, also)
		}
	}
	finds("", "")
	w.Variables["LEDGER_SECRET"] = ""
	user, made := w.DB.AddUser(t, "Ada@example.com"), w.Coder.AddUser("ada", "ada@example.com", "none")
	w.DB.Exec(t, `insert into coderhook.accounts (user_id, coder_user_id, status) values ($1, $2, 'active')`, user, made.ID)
	finds("", "")
	w.DB.Exec(t, `update auth.users set email = 'lovelace@example.com'`)
	finds("warning of 1 accounts that were compared, 1 have another address", user.String())
	w.Coder.Fail(codertest.Fault{Path: "/users/" + made.ID.String(), Status: 500, Body: `{"message":"x"}`})
	finds("warning compare addresses", "500")
}
