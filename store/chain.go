package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// hookTimeout is what Supabase Auth grants such a function (supabase/auth, internal/hooks/hookspgfunc).
const hookTimeout = 2 * time.Second

// hookName is what Supabase Auth takes for the name of a schema or a function (supabase/auth, internal/conf).
var hookName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,62}$`)

// CheckChainHook says what is wrong with the name of the chained function, without asking the database.
func (c Config) CheckChainHook() error {
	schema, name, found := strings.Cut(c.ChainHook, ".")
	if c.ChainHook != "" && (!found || !hookName.MatchString(schema) || !hookName.MatchString(name)) {
		return errors.New("is not the name of a function; write it like public.custom_access_token_hook, without quotes and parentheses")
	}
	return nil
}

// chainHook quotes the name, as Supabase Auth does: upper and lower case count.
func (c Config) chainHook() string {
	schema, name, _ := strings.Cut(c.ChainHook, ".")
	return pgx.Identifier{schema, name}.Sanitize()
}

// CallChainHook calls [Config.ChainHook] with an event, as Supabase Auth calls an access-token hook that is a function, in
// a transaction of its own that takes several round trips. It commits if accept takes what the function returned, which is nil for null. The
// function is called once: nobody knows what it does. Supabase Auth's own role does not see public, either.
func (s *Store) CallChainHook(ctx context.Context, event []byte, accept func(output []byte) error) error {
	var called error
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: beginHook(ctx)})
		if err != nil {
			return err // the function was not called yet
		}
		called = s.callHook(ctx, tx, event, accept)
		return nil
	})
	if err != nil {
		return explain(err)
	}
	return called // as it is: what a function lacks is none of ours
}

// beginHook ends the function on the server, too, when nobody waits for it any more.
func beginHook(ctx context.Context) string {
	patience := hookTimeout
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end))
	}
	patience = max(patience, time.Millisecond) // 0 would be for ever
	return fmt.Sprintf("begin; set local statement_timeout = %d; set local search_path = auth", patience.Milliseconds())
}

// keyForm is that of a Coder key: an event can hold one, and a function can put the event into its error.
var keyForm = regexp.MustCompile(`\b([A-Za-z0-9]{10})-[A-Za-z0-9]{22}\b`)

func withoutKeys(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || !keyForm.MatchString(pg.Message) {
		return err
	}
	masked := *pg
	masked.Message = keyForm.ReplaceAllString(pg.Message, "$1-[redacted]")
	return &masked
}

func (s *Store) callHook(ctx context.Context, tx pgx.Tx, event []byte, accept func([]byte) error) error {
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing, once it is committed
	var output *string
	// Not prepared: what is prepared may be lost behind a pooler, and is not called twice.
	err := tx.QueryRow(ctx, "select "+s.cfg.chainHook()+"($1::text::jsonb)::text", pgx.QueryExecModeExec, string(event)).Scan(&output)
	if err != nil {
		return fmt.Errorf("call %s: %w", s.cfg.ChainHook, withoutKeys(err))
	}
	var text []byte
	if output != nil {
		text = []byte(*output)
	}
	if err := accept(text); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit what %s did: %w", s.cfg.ChainHook, err)
	}
	return nil
}
