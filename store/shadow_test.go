package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// trapsSQL does what a role with CREATE on public can: under the name of every function and operator
// that we use it makes others, which fit the types of arguments better than those of pg_catalog wherever
// that is possible. What they return suits no statement, and who calls one is told so.
const trapsSQL = `
set search_path = pg_catalog, pg_temp;
create type public.trap as (sprung boolean);
do $$
declare
  types  text[] := '{text,varchar,name,"\"char\"",uuid,bool,int2,int4,int8,numeric,float4,float8,timestamptz,interval,oid,regclass,regprocedure,text[],name[],oid[],uuid[],aclitem[],jsonb}';
  few    text[] := '{text,name,oid,int2,int4,int8,bool,uuid,interval,regclass}';
  wanted record;
begin
  for wanted in
    with used as (select distinct proname, least(n, 4) as n from pg_proc,
                         generate_series(greatest(pronargs - pronargdefaults, 1), pronargs + case when provariadic <> 0 then 3 else 0 end) n
                   where pronamespace = 'pg_catalog'::regnamespace and proname = any (string_to_array('{functions}', ',')) and n between 1 and 4),
      named as (select split_part(c, '.', 1) as proname, split_part(c, '.', 2) as argument from unnest(string_to_array('{named}', ',')) c)
    select proname, format('%I %s', argument, t) as signature, 0 as n from named, unnest(types) t
    union all select proname, t, n from used, unnest(types) t where n = 1
    union all select proname, format('%s, %s', t, u), n from used, unnest(types) t, unnest(types) u where n = 2
    union all select proname, format('%s, %s, %s', t, u, v), n from used, unnest(few) t, unnest(few) u, unnest(few) v where n = 3
    union all select proname, format('text, %s, %s, text', t, u), n from used, unnest(few) t, unnest(few) u where n = 4
     order by n
  loop
    begin
      execute format('create function public.%I(%s) returns public.trap language plpgsql as %L',
        wanted.proname, wanted.signature, 'begin raise exception ''trapped by function ' || wanted.proname || '''; end');
    exception when duplicate_function then null; -- with a named argument
    end;
  end loop;
  for wanted in select t, u from unnest(types) t, unnest(types) u loop
    execute format('create function public.trap(%s, %s) returns public.trap language plpgsql as %L', wanted.t, wanted.u, 'begin raise exception ''trapped by operator''; end');
  end loop;
  for wanted in select o, t, u from unnest('{=,<>,<,>,<=,>=,+,-,*,/,||,~,~*,!~,->,->>,?,~~,!~~,@>}'::text[]) o, unnest(types) t, unnest(types) u loop
    execute format('create operator public.%s (leftarg = %s, rightarg = %s, function = public.trap)', wanted.o, wanted.t, wanted.u);
  end loop;
end $$;`

// ourSQL is all of the source that has statements of ours.
func ourSQL(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"*.go", "migrations/*.sql"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			must(t, err)
			all.Write(text)
		}
	}
	return all.String()
}

// layTraps shadows what our statements could call.
func layTraps(t *testing.T, db *storetest.DB) {
	t.Helper()
	source := ourSQL(t)
	unique := func(found []string) string { slices.Sort(found); return strings.Join(slices.Compact(found), ",") }
	var names, named []string
	for _, m := range regexp.MustCompile(`([a-z_]+)\(`).FindAllStringSubmatch(source, -1) {
		names = append(names, m[1]) // those that are no functions of pg_catalog fall away
	}
	for _, m := range regexp.MustCompile(`([a-z_]+)\((\w+) =>`).FindAllStringSubmatch(source, -1) {
		named = append(named, m[1]+"."+m[2])
	}
	db.Script(t, `set client_min_messages = warning; grant create on schema public to public;`+
		strings.NewReplacer("{functions}", unique(names), "{named}", unique(named)).Replace(trapsSQL))
}

// sprung: an attacker's function was called, or stands in the statement.
func sprung(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.Contains(pg.Message, "trap") || strings.HasPrefix(pg.Code, "42") && pg.Code != "42501")
}

func TestNothingOfOursCallsWhatIsInPublic(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			db := storetest.New(t)
			user := db.AddUser(t, "ada@example.com")
			layTraps(t, db)
			callAll(t, storetest.Open(t, store.Config{URL: db.RoleURL("coderhook") + "&default_query_exec_mode=" + mode}), user)
			write(t, db, user, secret) // for there to be something to encrypt
			callAll(t, storetest.Open(t, store.Config{URL: db.RoleURL("coderhook") + "&default_query_exec_mode=" + mode, EncryptionKeys: []string{keyA}}), user)
			callAll(t, inspect(t, store.Config{URL: db.RoleURL("coderhook") + "&default_query_exec_mode=" + mode}), user)
		})
	}
}

// callAll calls every method with arguments that lead somewhere.
func callAll(t *testing.T, on any, user uuid.UUID) {
	t.Helper()
	value, methods := reflect.ValueOf(on), reflect.TypeOf(on)
	var order []int
	for i := range methods.NumMethod() {
		switch name := methods.Method(i).Name; name {
		case "Close", "Remove", "CallChainHook": // the last calls what an operator names, where the product has put it
		case "Claim":
			order = slices.Insert(order, 0, i)
		default:
			order = append(order, i)
		}
	}
	for _, i := range order {
		method := methods.Method(i)
		args := []reflect.Value{value}
		for n := 1; n < method.Type.NumIn(); n++ {
			args = append(args, argument(t, method.Type.In(n), user))
		}
		call := method.Func.Call
		if method.Type.IsVariadic() {
			call = method.Func.CallSlice
		}
		for _, result := range call(args) {
			if err, failed := result.Interface().(error); failed && sprung(err) {
				t.Errorf("%s: %v", method.Name, err)
			}
		}
	}
}

// argument is a plausible value of that type.
func argument(t *testing.T, of reflect.Type, user uuid.UUID) reflect.Value {
	t.Helper()
	switch of {
	case reflect.TypeFor[context.Context]():
		return reflect.ValueOf(t.Context())
	case reflect.TypeFor[uuid.UUID]():
		return reflect.ValueOf(user)
	case reflect.TypeFor[time.Time]():
		return reflect.ValueOf(noon)
	case reflect.TypeFor[store.Status]():
		return reflect.ValueOf(store.Pending)
	}
	value := reflect.New(of).Elem()
	switch of.Kind() {
	case reflect.Struct:
		for i := range of.NumField() {
			value.Field(i).Set(argument(t, of.Field(i).Type, user))
		}
	case reflect.Slice:
		value.Set(reflect.Append(value, argument(t, of.Elem(), user)))
	case reflect.Func:
		value = reflect.MakeFunc(of, func([]reflect.Value) []reflect.Value { return []reflect.Value{reflect.Zero(of.Out(0))} })
	case reflect.String:
		value.SetString("abcdefghij")
	case reflect.Int, reflect.Int32, reflect.Int64:
		value.SetInt(int64(time.Minute))
	}
	return value
}

// The migrations run with the rights of the product's admin, or of a superuser: by the server's own
// command, and file by file as `supabase db push` or psql send them.
func TestMigratingCallsNothingThatIsInPublic(t *testing.T) {
	t.Parallel()
	migrated := func(t *testing.T) *storetest.DB { return storetest.New(t) }
	fresh := func(t *testing.T) *storetest.DB { return storetest.Bare(t) }
	for name, start := range map[string]func(*testing.T) *storetest.DB{"again": migrated, "first": fresh} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := start(t)
			layTraps(t, db)
			if _, err := store.Migrate(t.Context(), store.Config{URL: db.RoleURL(pgserver.ProductAdmin)}); err != nil {
				t.Error(err)
			}
		})
		t.Run(name+" by files", func(t *testing.T) {
			t.Parallel()
			db := start(t)
			layTraps(t, db)
			for _, file := range migrationFiles(t) {
				text, err := os.ReadFile(file)
				must(t, err)
				if err := storetest.RunScript(t.Context(), db.RoleURL(pgserver.ProductAdmin), string(text)); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		})
	}
}

func migrationFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	must(t, err)
	return files
}

// Types are looked for in the caller's pg_temp before anything else, unless the function says otherwise: whoever has
// the role's password could have a check of their own run by the owner of the function.
func TestFunctionsOfOursTrustNoTypeOfTheirCallers(t *testing.T) {
	t.Parallel()
	const attack = `
		create function pg_temp.boom(v pg_catalog.text) returns boolean language plpgsql as $$ begin raise exception 'ran as %', current_user; end $$;
		create domain pg_temp.text as pg_catalog.text check (pg_temp.boom(value));
		select * from coderhook.auth_user_ids('ada@example.com');`
	db := storetest.New(t)
	asRole := db.RoleURL("coderhook")
	db.Script(t, `insert into auth.users (id, email) values ('11111111-1111-4111-8111-111111111111', 'ada@example.com');
		alter function coderhook.auth_users_state(uuid[]) set search_path = '';
		alter function coderhook.auth_user_ids(text) set search_path = '';`)
	if err := storetest.RunScript(t.Context(), asRole, attack); err == nil || !strings.Contains(err.Error(), "ran as") {
		t.Fatalf("the attack does not work without the cure: %v", err)
	}
	cured := func(t *testing.T) {
		if err := storetest.RunScript(t.Context(), asRole, attack); err != nil {
			t.Error(err)
		}
		if n := storetest.Query[int](t, db, `select count(*) from pg_proc where pronamespace = 'coderhook'::regnamespace
			and prosecdef and not proconfig @> '{"search_path=pg_catalog, pg_temp"}'`); n > 0 {
			t.Errorf("%d functions have another search_path", n)
		}
	}
	text, err := os.ReadFile("migrations/20261125000007_coderhook_search_path.sql")
	must(t, err)
	must(t, storetest.RunScript(t.Context(), db.RoleURL(pgserver.ProductAdmin), string(text)))
	cured(t)
	db.Script(t, `create or replace function coderhook.auth_users_state(ids uuid[]) returns table (id uuid, present boolean, banned_until timestamptz, deleted_at timestamptz)
		language plpgsql stable security definer set search_path = '' as $$ begin return query select i, false, now()::timestamptz, null::timestamptz from unnest(ids) i; end $$;`)
	must(t, second(store.Migrate(t.Context(), store.Config{URL: db.RoleURL(pgserver.ProductAdmin)})))
	cured(t)
	users, err := db.Store(t).AuthUsers(t.Context(), []uuid.UUID{uuid.MustParse("11111111-1111-4111-8111-111111111111")})
	if err != nil || !users[0].Exists {
		t.Errorf("the function was not repaired: %v, %v", users, err)
	}
}
