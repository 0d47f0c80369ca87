package main

import (
	"errors"
	"strings"
	"testing"

	"coderhook/store/storetest"
)

// What an operator must know before and after an upgrade: whether to migrate, and whether going back is safe.
func TestVersionComparesTheSchema(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	for _, step := range []struct {
		sql     string
		lacking bool
		want    string
	}{
		{`select 1`, false, "\ndatabase: has all of them\n"},
		{`alter table coderhook.tasks add column later int`, false, "database: has the column coderhook.tasks.later, which a newer version made"},
		{`drop table coderhook.departures`, true, "database: lacks the table coderhook.departures (20261125000009_coderhook_departures.sql)\n"},
	} {
		db.Script(t, step.sql)
		var out strings.Builder
		err := run(t.Context(), []string{"version"}, func(name string) string {
			return map[string]string{"DATABASE_URL": db.RoleURL("coderhook")}[name]
		}, &out, &out)
		if errors.Is(err, errReported) != step.lacking || err != nil && !step.lacking || !strings.Contains(out.String(), step.want) {
			t.Errorf("%s: %q, %v", step.sql, out.String(), err)
		}
	}
}

// A database out of reach takes nothing away from the answer.
func TestVersionWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := run(t.Context(), []string{"version"}, func(name string) string {
		return map[string]string{"DATABASE_URL": "postgres://u:hunter2@127.0.0.1:1/x"}[name]
	}, &out, &out)
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(out.String(), "\nmigrations: ") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
