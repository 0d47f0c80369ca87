package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Reencryption goes through the profiles and writes the keys there as they are to be stored.
type Reencryption struct {
	Decrypt bool // in plain, whatever the newest encryption key is
	Dry     bool // only counts
}

// Reencrypted is what one batch came to. What needs nothing is not counted.
type Reencrypted struct {
	Last       uuid.UUID // the last user who was looked at
	Looked     int       // fewer than asked for: there are no more
	Written    int       // or would be, in a dry run
	Strange    int       // plain, and not the key that the ledger knows: left, as encrypting it would vouch for it
	Unreadable int       // left
	Busy       int       // somebody else had the row, or changed it meanwhile: left
}

// ErrNothingToEncryptWith says that there is no encryption key to write with.
var ErrNothingToEncryptWith = errors.New("there is no encryption key to write with")

// A plain key is encrypted only where the ledger knows it. Whatever else is there is judged by its user's next mint.
const toReencryptSQL = `
select p.{id} as user_id, p.{key}::text as stored,
       coalesce(a.key_id = pg_catalog.split_part(p.{key}::text, '-', 1) and a.key_refused_at is null, false) as known
  from {table} as p left join coderhook.accounts as a on a.user_id = p.{id}
 where p.{id} > $1 and p.{key}::text <> ''
   and case when $2::text = '' then pg_catalog.left(p.{key}::text, 4) = 'enc:'
            else pg_catalog.left(p.{key}::text, pg_catalog.length($2::text)) <> $2::text end
 order by p.{id} limit $3`

type storedKey struct {
	UserID uuid.UUID
	Stored string
	Known  bool
}

// Reencrypt does up to limit users from behind after on: in one transaction, which waits for nobody.
func (s *Store) Reencrypt(ctx context.Context, r Reencryption, after uuid.UUID, limit int) (Reencrypted, error) {
	to, err := s.reencrypting(r)
	if err != nil {
		return Reencrypted{}, err
	}
	rows, err := all[storedKey](ctx, s, s.profiles.in(toReencryptSQL), after, to.prefix(), limit)
	if err != nil {
		return Reencrypted{}, fmt.Errorf("read keys to be encrypted: %w", err)
	}
	done := Reencrypted{Last: after, Looked: len(rows)}
	var b batch
	for _, row := range rows {
		done.Last = row.UserID
		s.reencrypt(&b, &done, to, profileKey, row)
	}
	if done.Written = len(b.users); r.Dry || done.Written == 0 {
		return done, nil
	}
	done.Written, err = s.rewrite(ctx, b, to.encrypts)
	done.Busy = len(b.users) - done.Written
	return done, err
}

// prefix begins what is as it is to be stored, "" where that is plain.
func (e encryption) prefix() string {
	if !e.encrypts {
		return ""
	}
	return e.keys[0].prefix()
}

// batch is what is written in one transaction.
type batch struct{ users, before, after []string }

func (b *batch) add(row storedKey, after string) {
	b.users, b.before, b.after = append(b.users, row.UserID.String()), append(b.before, row.Stored), append(b.after, after)
}

const rewriteSQL = `
with wanted as (select * from rows from (pg_catalog.unnest($1::text[]::uuid[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])) as w (user_id, before, after)),
     free as (select w.user_id, w.after from {table} as p join wanted as w on p.{id} = w.user_id and p.{key}::text = w.before for update of p skip locked)
update {table} as p set {key} = free.after from free where p.{id} = free.user_id`

const rewrittenSQL = `
select pg_catalog.count(*)::int as held
  from {table} as p join rows from (pg_catalog.unnest($1::text[]::uuid[]), pg_catalog.unnest($2::text[])) as w (user_id, after) on p.{id} = w.user_id and p.{key}::text = w.after`

// rewrite changes the rows that nobody else has, and that are as they were.
func (s *Store) rewrite(ctx context.Context, b batch, encrypted bool) (written int, _ error) {
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, lockTimeoutSQL); err != nil {
				return err
			}
			if encrypted {
				if err := s.noteEncryptionKey(ctx, tx); err != nil {
					return err
				}
			}
			written, err = s.rewriteFree(ctx, tx, b)
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("write keys: %w", explain(err))
	}
	return written, nil
}

// rewriteFree believes no write that succeeded, as readBack.
func (s *Store) rewriteFree(ctx context.Context, tx pgx.Tx, b batch) (written int, _ error) {
	tag, err := tx.Exec(ctx, s.profiles.in(rewriteSQL), b.users, b.before, b.after)
	if err != nil {
		return 0, profileFault(err)
	}
	var held int
	if err := tx.QueryRow(ctx, s.profiles.in(rewrittenSQL), b.users, b.after).Scan(&held); err != nil {
		return 0, profileFault(err)
	}
	if written = int(tag.RowsAffected()); held < written {
		return 0, fmt.Errorf("%w: %d rows hold something else after the write: a trigger or a rule changes the key", ErrProfile, written-held)
	}
	return written, nil
}

const retireEncryptionKeysSQL = `
delete from coderhook.encryption_keys as e
 where e.id <> $1 and not exists (select from {table} as p where p.{key}::text like 'enc:%' and pg_catalog.split_part(p.{key}::text, ':', 3) = e.id)
   and not exists (select from coderhook.keys as k where pg_catalog.split_part(k.api_key, ':', 3) = e.id)
returning e.id`

// RetireEncryptionKeys forgets the encryption keys with which nothing is encrypted any more, but for the newest, and
// returns their ids: they can be removed from the configuration. It looks at the whole table.
func (s *Store) RetireEncryptionKeys(ctx context.Context) ([]string, error) {
	rows, err := all[struct{ ID string }](ctx, s, s.profiles.in(retireEncryptionKeysSQL), s.encryption.newest())
	if err != nil {
		return nil, fmt.Errorf("forget encryption keys: %w", err)
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	return ids, nil
}
