package pgserver

import "testing"

// What was committed is there again after a restart, in good order or not.
func TestHaltAndResume(t *testing.T) {
	t.Parallel()
	for _, options := range []Options{{}, {TCP: true}} {
		options.Settings = []string{"synchronous_commit=on", "max_connections=20"}
		s, err := Start(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		defer stop(t, s)
		run := func(sql string) error { return execute(t.Context(), s.URL("postgres"), sql) }
		if err := run(`create table kept (way text)`); err != nil {
			t.Fatal(err)
		}
		for _, how := range []Shutdown{Fast, Immediate} {
			if err := run(`insert into kept values ('` + string(how) + `')`); err != nil {
				t.Fatal(err)
			}
			s.Halt(how)
			if err := run(`select 1`); err == nil {
				t.Errorf("%s: it still takes connections", how)
			}
			if err := s.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := query(t, s.URL("postgres"), `select string_agg(way, ' ') || ' ' || current_setting('max_connections') from kept`); got != "fast immediate 20" {
			t.Errorf("got %s", got)
		}
	}
}
