package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/exposure"
	"coderhook/coderclient/codertest"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// On the guide's own table no key is made, until it is locked; who has one goes on.
func TestServeMakesNoReadableKey(t *testing.T) {
	t.Parallel()
	w, coder := newAttacked(t, quickstart), cmdtest.Coder(t)
	p := cmdtest.Start(t, w.DB, coder, "ADMIN_ADDR=127.0.0.1:0", "RECONCILE_INTERVAL=1s")
	client := &http.Client{}
	newcomer := w.DB.AddUser(t, "new@example.com")
	for range 3 {
		if key, status, err := p.Mint(t.Context(), client, newcomer, "new@example.com"); key != "" || status != "unavailable" || err != nil {
			t.Errorf("got %.10q, %q, %v", key, status, err)
		}
	}
	if key, _, err := p.Mint(t.Context(), client, uuid.MustParse(victim), victim+"@example.com"); key != theKey || err != nil {
		t.Errorf("who has a key got %.10q, %v", key, err)
	}
	p.Becomes(t, `"keys":"degraded"`)
	if got := get(t, "http://"+p.Admin+"/metrics"); !strings.Contains(got, "\ncoderhook_keys_readable 1\n") {
		t.Error("the metric does not say that keys are readable")
	}
	if n := len(coder.Users()); n > 0 {
		t.Errorf("%d Coder users were made", n)
	}
	if out, err := w.migrate("--lock-keys"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmdtest.Eventually(t, "the newcomer gets a key", func() bool {
		key, _, err := p.Mint(t.Context(), client, newcomer, "new@example.com")
		return key != "" && err == nil
	})
	p.Becomes(t, `"keys":"ok"`)
	p.Stop(t)
	log := p.Log()
	for text, times := range map[string]int{"no new key is made until coderhook migrate --lock-keys was run": 1, "can't be read by others any more": 1} {
		if strings.Count(log, text) != times {
			t.Errorf("%q is %d times in the log", text, strings.Count(log, text))
		}
	}
}

func TestServeMakesReadableKeysWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	w, coder := newAttacked(t, quickstart), cmdtest.Coder(t)
	p := cmdtest.Start(t, w.DB, coder, "ALLOW_READABLE_KEYS=true")
	user := w.DB.AddUser(t, "new@example.com")
	if key, status, err := p.Mint(t.Context(), &http.Client{}, user, "new@example.com"); key == "" || err != nil {
		t.Errorf("got %q, %v", status, err)
	}
}

// A view as the profiles table is refused by all three, and nobody is told to index it.
func TestViewAsProfilesTable(t *testing.T) {
	t.Parallel()
	w := cmdtest.NewDeployment(t, cmdtest.Coder(t))
	w.DB.Script(t, `create view public.people as select * from public.profiles; grant select, insert, update on public.people to coderhook`)
	w.Variables["PROFILES_TABLE"] = "public.people"
	found := w.Doctor(t)
	cmdtest.WantResults(t, found, "failure profiles table")
	if !strings.Contains(found[0].Found, "is a view") || strings.Contains(found[0].SQL+found[0].Cure, "index") || !strings.Contains(found[0].Cure, "PROFILES_TABLE") {
		t.Errorf("got %+v", found)
	}
	if _, err := command(t, map[string]string{"DATABASE_URL": w.DB.URL, "PROFILES_TABLE": "public.people"}, "migrate"); !errors.Is(err, store.ErrUnusable) {
		t.Errorf("migrate: %v", err)
	}
	p := cmdtest.Start(t, w.DB, w.Coder, "PROFILES_TABLE=public.people")
	cmdtest.Eventually(t, "the server says that it is a view", func() bool { return strings.Contains(p.Log(), "is a view; name in PROFILES_TABLE") })
}

// readableBy is a report with one reader of everybody's keys, or none.
func readableBy(roles ...string) exposure.Report {
	p := exposure.Place{Relation: store.Relation{Name: "public.profiles"}}
	for _, role := range roles {
		p.Reaches = append(p.Reaches, exposure.Reach{Role: role, Read: exposure.Everyone})
	}
	return exposure.Report{Places: []exposure.Place{p}}
}

// Before the first verdict nothing is made; a database that can't be asked changes none; a cure is noticed within a minute.
func TestKeyWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // of what follows
		var found exposure.Report
		fault := errors.New("no database")
		var log strings.Builder
		looks := 0
		w := &keyWatch{every: time.Hour, log: zerolog.New(&log), looked: make(chan struct{}), look: func(context.Context) (exposure.Report, error) {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			looks++
			return found, fault
		}}
		ctx, stop := context.WithCancel(t.Context())
		go w.run(ctx)
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := w.mayMake(short); !errors.Is(err, errNotJudged) {
			t.Errorf("before the first look: %v", err)
		}
		began := time.Now()
		if err := w.mayMake(ctx); !errors.Is(err, errNotJudged) || time.Since(began) > time.Second {
			t.Errorf("after a look that failed: %v, %s", err, time.Since(began))
		}
		step := func(readers exposure.Report, err error, wait time.Duration, want error) {
			t.Helper()
			mu.Lock()
			found, fault = readers, err
			mu.Unlock()
			time.Sleep(wait)
			synctest.Wait()
			if got := w.mayMake(ctx); !errors.Is(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
		step(readableBy("anon"), nil, 4*time.Second, errReadable)
		step(readableBy("anon"), nil, 10*time.Minute, errReadable)
		step(readableBy(), errors.New("down"), 10*time.Minute, errReadable)
		step(readableBy(), nil, 62*time.Second, nil)
		step(readableBy(), errors.New("down"), 2*time.Hour, nil)
		mu.Lock()
		before := looks
		mu.Unlock()
		step(readableBy(), nil, 3*time.Hour, nil)
		stop()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if looks-before > 5 {
			t.Errorf("%d looks in three hours", looks-before)
		}
		if n := strings.Count(log.String(), "no new key is made"); n != 1 {
			t.Errorf("said %d times:\n%s", n, log.String())
		}
	})
}

// What a trigger can do is named, and what can't be read is never called harmless.
func TestDoctorOnTriggersOfTheProfiles(t *testing.T) {
	t.Parallel()
	const before = `before insert or update`
	for name, test := range map[string]struct {
		when, body, how string
		want            string // "" is harmless
	}{
		"a date":              {before, `new.name := upper(new.name); return new;`, "", ""},
		"auth, as the server": {before, `if auth.uid() is null then new.name := 'x'; end if; return new;`, "", "failure calls functions of the schema auth"},
		"auth, as its owner":  {before, `if auth.uid() is null then new.name := 'x'; end if; return new;`, "security definer", ""},
		"auth, of the name":   {`before update of name`, `if auth.uid() is null then new.name := 'x'; end if; return new;`, "", ""},
		"an exception":        {before, `if new.name = 'x' then raise exception 'no'; end if; return new;`, "", "warning can refuse"},
		"a notice":            {before, `raise notice 'hello'; return new;`, "", ""},
		"the old key":         {before, `new.api_key := old.api_key; return new;`, "", "warning keep the old one"},
		"the old row":         {before, `return old;`, "", "warning keep the old one"},
		"dynamic SQL":         {`after update`, `execute format('insert into %I values ($1)', 't') using new; return null;`, "", "warning hands the row"},
		"a function":          {`after update`, `perform public.f(new); return null;`, "", "warning hands the row"},
		"a message":           {`after update`, `perform pg_notify('x', row_to_json(new)::text); return null;`, "", "warning hands the row"},
		"an unknown table":    {`after update`, `insert into somewhere select new.*; return null;`, "", "warning hands the row"},
		"without the key":     {`after update`, `insert into public.history values (to_jsonb(new) - 'api_key'); return null;`, "", ""},
		"of other columns":    {`after update`, `if new.api_key is distinct from old.api_key then insert into public.history values (to_jsonb(new.id)); end if; return null;`, "", ""},
		"no comment":          {`after update`, `new.name := '--'; perform public.f(new); /* ' */ return null;`, "", "warning hands the row"},
		"a comment":           {`after update`, `/* insert into public.history values (to_jsonb(new)); */ return null; -- raise exception 'x'`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
			w.DB.Script(t, `create table public.history (line jsonb); alter table public.profiles add name text; set check_function_bodies = off;
				create function public.act() returns trigger language plpgsql `+test.how+` as $$ begin `+test.body+` end $$;
				create trigger act `+test.when+` on public.profiles for each row execute function public.act()`)
			var got []string
			for _, f := range w.Doctor(t) {
				got = append(got, string(f.Result)+" "+f.Check+": "+f.Found)
			}
			level, text, _ := strings.Cut(test.want, " ")
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], level+" triggers on the profiles table") || !strings.Contains(got[0], text)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
