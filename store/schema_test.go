package store_test

import (
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/go-cmp/cmp"
)

func TestSchemaTellsWhatIsMissingAndWhatIsNewer(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	i := inspect(t, store.Config{URL: db.RoleURL("coderhook")})
	got, err := i.Schema(t.Context())
	must(t, err)
	if diff := cmp.Diff(store.Schema{}, got); diff != "" {
		t.Errorf("as it should be: %s", diff)
	}
	db.Script(t, `alter table coderhook.accounts drop column seal, add column shoe_size int; drop table coderhook.departures;
		create table coderhook.later (id int); create function coderhook.newest() returns int language sql as 'select 1'`)
	got, err = i.Schema(t.Context())
	must(t, err)
	want := store.Schema{
		Missing: []store.Lack{
			{What: "column coderhook.accounts.seal", Migration: "20261125000008_coderhook_ledger_seal.sql"},
			{What: "table coderhook.departures", Migration: "20261125000009_coderhook_departures.sql"},
		},
		Unknown: []string{"column coderhook.accounts.shoe_size", "function coderhook.newest", "table coderhook.later"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Of a database that has nothing of ours all is missing, and it is known from where it comes.
func TestSchemaOfAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	db.Script(t, `drop schema coderhook cascade`)
	got, err := inspect(t, store.Config{URL: db.URL}).Schema(t.Context())
	must(t, err)
	if len(got.Missing) == 0 || len(got.Unknown) > 0 {
		t.Errorf("got %+v", got)
	}
	for _, lack := range got.Missing {
		if lack.Migration == "" {
			t.Errorf("no migration is known to make %s", lack.What)
		}
	}
}
