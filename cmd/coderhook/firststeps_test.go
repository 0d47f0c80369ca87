package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"coderhook/store/storetest"
)

// README's first page, on a new project: what migrate made can be used by the role once psql has let it log in.
func TestTheFirstSteps(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("psql"); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	db := storetest.Bare(t)
	as := func(url string, args ...string) (string, error) {
		var out strings.Builder
		err := run(t.Context(), args, func(name string) string { return map[string]string{"DATABASE_URL": url}[name] }, &out, &out)
		return out.String(), err
	}
	if out, err := as(db.URL, "migrate"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := regexp.MustCompile(`(?m)^psql "\$ADMIN_DATABASE_URL" -c "(alter role [^"]*)"$`).FindStringSubmatch(readme(t))
	if lines == nil || strings.Count(readme(t), lines[1]) < 2 {
		t.Fatal("README lets the role log in nowhere, or in more ways than one")
	}
	// Roles are the server's, and other tests use this one with this password.
	command := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(lines[0], "a long random password", "throwaway", 1))
	command.Env = append(os.Environ(), "ADMIN_DATABASE_URL="+db.URL)
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "ALTER ROLE") {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := as(db.RoleURL("coderhook"), "version"); err != nil || !strings.Contains(out, "database: has all of them") {
		t.Errorf("%v: %s", err, out)
	}
}
