package store

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// Config says where the database is and how the product names its table.
type Config struct {
	// URL is a postgres:// URL. Required. pgbouncer=true among its parameters,
	// or port 6543, says that a transaction-mode pooler is in between;
	// default_query_exec_mode overrides both.
	URL string

	// Reread returns the URL of now, for one that may change; nil for one that does not.
	// It is asked for every new connection. Its errors show nothing of the URL.
	Reread func() (string, error)

	ProfilesTable     string // "table" or "schema.table", without quotes; default public.profiles
	ProfilesIDColumn  string // the user's uuid; default id
	ProfilesKeyColumn string // default api_key

	ChainHook     string   // schema.function, see [Store.CallChainHook]; "": none
	PolicyColumns []string // further columns, which rules look at

	NoTrigger bool // [Migrate] leaves out, or drops, the triggers on auth.users

	LedgerSecrets []string // seal the ledger's rows, the newest first; none: they are not sealed

	// EncryptionKeys encrypt the keys in the profiles, the newest first: 32 bytes each, in base64. The first may be
	// [WriteInPlain]. None: they are not encrypted.
	EncryptionKeys  []string
	RefusePlainKeys bool // a key that is not encrypted counts as planted

	Replica  string // names this process in the audit trail; default coderhook
	Trace    bool   // makes OpenTelemetry spans of the statements
	MaxConns int32  // default 10; pool_max_conns in the URL comes first
}

// profiles names the product's table; nothing in it is quoted.
type profiles struct {
	schema, table, id, key string
	columns                []string
}

// CheckNames says what is wrong with the names of the product's table, without asking the database.
func (c Config) CheckNames() error {
	_, err := c.profiles()
	return err
}

// CheckURL says what is wrong with the URL, without using it.
func (c Config) CheckURL() error {
	_, err := c.pool()
	return err
}

// profiles applies the defaults and checks the names.
func (c Config) profiles() (profiles, error) {
	name := cmp.Or(c.ProfilesTable, "public.profiles")
	schema, table, found := strings.Cut(name, ".")
	if !found {
		schema, table = "public", name
	}
	p := profiles{
		schema: schema,
		table:  table,
		id:     cmp.Or(c.ProfilesIDColumn, "id"),
		key:    cmp.Or(c.ProfilesKeyColumn, "api_key"),

		columns: c.PolicyColumns,
	}
	err := errors.Join(
		checkName("profiles schema", p.schema),
		checkName("profiles table", p.table),
		checkName("profiles id column", p.id),
		checkName("profiles key column", p.key),
	)
	if err == nil && p.id == p.key {
		err = fmt.Errorf("profiles id and key column are both %q", p.id)
	}
	for _, column := range p.columns {
		err = errors.Join(err, p.checkColumn(column))
	}
	return p, err
}

// columnName is what a condition can name.
var columnName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (p profiles) checkColumn(name string) error {
	switch {
	case !columnName.MatchString(name) || len(name) > 63:
		return fmt.Errorf("policy column %q can't be named in a rule: it may have letters, digits and _", name)
	case name == p.key:
		return fmt.Errorf("policy column %q is the one with the keys", name)
	}
	return nil
}

// checkName refuses what Postgres would refuse, or silently cut short. A dot is
// refused too: it separates schema and table, and no quoting is undone.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is empty", what)
	case len(name) > 63:
		return fmt.Errorf("%s %q is longer than 63 bytes", what, name)
	case name[0] == '"' && strings.HasSuffix(name[1:], `"`):
		return fmt.Errorf("%s %s is in quotes; write names without quotes: upper and lower case count as they are", what, name)
	case !utf8.ValidString(name), strings.ContainsFunc(name, unicode.IsControl), strings.Contains(name, "."):
		return fmt.Errorf("%s %q is not a plain name", what, name)
	}
	return nil
}

// in fills {table}, {id} and {key} in sql with quoted identifiers.
func (p profiles) in(sql string) string {
	return strings.NewReplacer(
		"{table}", pgx.Identifier{p.schema, p.table}.Sanitize(),
		"{id}", pgx.Identifier{p.id}.Sanitize(),
		"{key}", pgx.Identifier{p.key}.Sanitize(),
		"{columns}", p.object(),
	).Replace(sql)
}

// object makes JSON of the columns that rules look at. Not all of them in one call, which takes a hundred arguments at most.
func (p profiles) object() string {
	parts := []string{"'{}'::jsonb"}
	for _, column := range p.columns {
		parts = append(parts, fmt.Sprintf("pg_catalog.jsonb_build_object('%s', p.%s)", column, pgx.Identifier{column}.Sanitize()))
	}
	return strings.Join(parts, " || ")
}
