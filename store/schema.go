package store

import (
	"context"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Schema compares what this program's migrations make with what a database has.
type Schema struct {
	Missing []Lack
	// Unknown is what a newer version has made: migrations only add, so that this one runs beside it.
	Unknown []string
}

// Lack is something that is not there, and the first migration that makes it.
type Lack struct{ What, Migration string }

// Migrations lists the files that [Migrate] applies, the newest last.
func Migrations() []string {
	names, _ := fs.Glob(migrations, "migrations/*.sql") // sorted; the pattern is good
	for i, name := range names {
		names[i] = path.Base(name)
	}
	return names
}

const madeSQL = `
select array(select what from (
         select 'table coderhook.' || c.relname as what from pg_catalog.pg_class c join pg_catalog.pg_namespace s on s.oid = c.relnamespace
          where s.nspname = 'coderhook' and c.relkind in ('r', 'p')
         union
         select 'column coderhook.' || c.relname || '.' || a.attname from pg_catalog.pg_attribute a join pg_catalog.pg_class c on c.oid = a.attrelid
           join pg_catalog.pg_namespace s on s.oid = c.relnamespace
          where s.nspname = 'coderhook' and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
         union
         select 'function coderhook.' || p.proname from pg_catalog.pg_proc p join pg_catalog.pg_namespace s on s.oid = p.pronamespace
          where s.nspname = 'coderhook') as made order by what)::text[] as objects`

// Schema says what is missing, and what a newer version has made.
func (i *Inspector) Schema(ctx context.Context) (Schema, error) {
	var schema Schema
	ledger, err := i.Ledger(ctx)
	if err != nil {
		return schema, err
	}
	for _, what := range ledger.Missing {
		schema.Missing = append(schema.Missing, Lack{what, firstNaming(what)})
	}
	made, err := found[struct{ Objects []string }](ctx, i, "schema coderhook", madeSQL)
	if err != nil {
		return schema, err
	}
	for _, what := range made.Objects {
		if firstNaming(what) == "" {
			schema.Unknown = append(schema.Unknown, what)
		}
	}
	return schema, nil
}

// firstNaming returns the migration that makes what is called like "column coderhook.accounts.seal": the first one
// with its last word; "" where none has it.
func firstNaming(what string) string {
	_, name, _ := strings.Cut(what, " ")
	word := regexp.MustCompile(`(?m)^[^-]*\b` + regexp.QuoteMeta(name[strings.LastIndex(name, ".")+1:]) + `\b`)
	for _, file := range Migrations() {
		if sql, err := migrations.ReadFile("migrations/" + file); err == nil && word.Match(sql) {
			return file
		}
	}
	return ""
}
