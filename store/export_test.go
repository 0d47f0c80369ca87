package store

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// LookupSQL is the statement of Lookup, for EXPLAIN.
func LookupSQL(s *Store) string { return s.sql.lookup }

// LookupColumns are the columns of the statements that are scanned by position, and the fields in the same order: both
// in lower case, without underscores.
func LookupColumns(ctx context.Context, s *Store) (columns, fields [][]string, err error) {
	for sql, row := range map[string]reflect.Type{
		s.sql.lookup: reflect.TypeFor[accountRow](), s.sql.lookupColumns: reflect.TypeFor[factsRow](), s.sql.lookupFacts: reflect.TypeFor[factsRow](),
	} {
		rows, err := s.pool.Query(ctx, sql, uuid.UUID{})
		if err != nil {
			return nil, nil, err
		}
		rows.Close()
		var names, into []string
		for _, column := range rows.FieldDescriptions() {
			names = append(names, strings.ReplaceAll(column.Name, "_", ""))
		}
		for _, field := range reflect.VisibleFields(row) {
			if !field.Anonymous {
				into = append(into, strings.ToLower(field.Name))
			}
		}
		columns, fields = append(columns, names), append(fields, into)
	}
	return columns, fields, nil
}

// ExecMode is how queries are sent.
func ExecMode(s *Store) pgx.QueryExecMode { return s.pool.Config().ConnConfig.DefaultQueryExecMode }

// PingsIdle is whether a connection that was idle for so long is checked before use.
func PingsIdle(s *Store, idle time.Duration) bool {
	return s.pool.Config().ShouldPing(context.Background(), pgxpool.ShouldPingParams{IdleDuration: idle})
}

// LockTimeout is the setting of a connection that comes back from the pool.
func LockTimeout(ctx context.Context, s *Store) (timeout string, err error) {
	err = s.pool.QueryRow(ctx, `show lock_timeout`).Scan(&timeout)
	return timeout, err
}

// Resets is how often the pool was reset.
func Resets(s *Store) int64 { return s.resets.count.Load() }

// MayReset is whether the pause after the last reset is over.
func MayReset(s *Store) bool {
	s.resets.mu.Lock()
	defer s.resets.mu.Unlock()
	return s.resets.now().Sub(s.resets.last) >= s.resets.pause
}

// Judged is what is thought of an error.
func Judged(err error) string {
	return map[verdict]string{final: "final", dead: "dead", unprepared: "unprepared", outdated: "outdated", refused: "refused"}[judge(err)]
}

// Writers is how many writes may wait for a lock at a time.
func Writers(s *Store) int { return s.writers.granted() }

// EncryptFor encrypts what a profile is to hold.
func EncryptFor(s *Store, user uuid.UUID, secret string) string {
	return s.encryption.encrypt(profileKey, user, secret)
}

// EncryptForAnotherPurpose encrypts what stands elsewhere.
func EncryptForAnotherPurpose(s *Store, user uuid.UUID, secret string) string {
	return s.encryption.encrypt("another", user, secret)
}

// Repetitions is how many connections a call tries after one that was dead.
func Repetitions(s *Store) (n int) {
	for r := (repetition{store: s}); r.another(); {
		n++
	}
	return n
}
