package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// A user's keys are read all at once, so that the next batch begins with another user.
const toReencryptSetsSQL = `
with users as (
 select distinct user_id from coderhook.keys
  where user_id > $1 and case when $2::text = '' then pg_catalog.left(api_key, 4) = 'enc:'
                              else pg_catalog.left(api_key, pg_catalog.length($2::text)) <> $2::text end
  order by user_id limit $3)
select k.user_id, k.key_set, k.api_key as stored, k.key_id = pg_catalog.split_part(k.api_key, '-', 1) as known
  from users join coderhook.keys as k on k.user_id = users.user_id
 where case when $2::text = '' then pg_catalog.left(k.api_key, 4) = 'enc:'
            else pg_catalog.left(k.api_key, pg_catalog.length($2::text)) <> $2::text end
 order by k.user_id`

type storedSet struct {
	storedKey
	KeySet string
}

// ReencryptSets does for the keys of sets, of up to limit users, what [Store.Reencrypt] does for those in the profiles.
func (s *Store) ReencryptSets(ctx context.Context, r Reencryption, after uuid.UUID, limit int) (Reencrypted, error) {
	to, err := s.reencrypting(r)
	if err != nil {
		return Reencrypted{}, err
	}
	rows, err := all[storedSet](ctx, s, toReencryptSetsSQL, after, to.prefix(), limit)
	if err != nil {
		return Reencrypted{}, fmt.Errorf("read keys to be encrypted: %w", err)
	}
	done := Reencrypted{Last: after}
	var b batch
	var sets []string
	for _, row := range rows {
		if row.UserID != done.Last {
			done.Last = row.UserID
			done.Looked++
		}
		before := len(b.users)
		s.reencrypt(&b, &done, to, setPurpose(row.KeySet), row.storedKey)
		if len(b.users) > before {
			sets = append(sets, row.KeySet)
		}
	}
	if done.Written = len(b.users); r.Dry || done.Written == 0 {
		return done, nil
	}
	done.Written, err = s.rewriteSets(ctx, b, sets, to.encrypts)
	done.Busy = len(b.users) - done.Written
	return done, err
}

// reencrypting is what is written with.
func (s *Store) reencrypting(r Reencryption) (encryption, error) {
	switch {
	case r.Decrypt:
		return encryption{}, nil
	case !s.encryption.encrypts:
		return encryption{}, ErrNothingToEncryptWith
	}
	return s.encryption, nil
}

// reencrypt adds a key to what is to be written, or counts why it is not.
func (s *Store) reencrypt(b *batch, done *Reencrypted, to encryption, p purpose, row storedKey) {
	secret, found, _ := s.encryption.decrypt(p, row.UserID, row.Stored)
	switch {
	case !strings.HasPrefix(row.Stored, encMark) && !row.Known:
		done.Strange++
	case !strings.HasPrefix(row.Stored, encMark):
		b.add(row, to.encrypt(p, row.UserID, row.Stored))
	case found != Encrypted:
		done.Unreadable++
	default:
		b.add(row, to.encrypt(p, row.UserID, secret))
	}
}

const rewriteSetsSQL = `
with wanted as (
 select * from rows from (pg_catalog.unnest($1::text[]::uuid[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::text[])) as w (user_id, key_set, before, after)),
 free as (
 select k.user_id, k.key_set, w.after from coderhook.keys as k join wanted as w on k.user_id = w.user_id and k.key_set = w.key_set and k.api_key = w.before
    for update of k skip locked)
update coderhook.keys as k set api_key = free.after from free where k.user_id = free.user_id and k.key_set = free.key_set`

func (s *Store) rewriteSets(ctx context.Context, b batch, sets []string, encrypted bool) (written int, _ error) {
	err := s.again(ctx, func(ctx context.Context, conn *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if encrypted {
				if err := s.noteEncryptionKey(ctx, tx); err != nil {
					return err
				}
			}
			tag, err := tx.Exec(ctx, rewriteSetsSQL, b.users, sets, b.before, b.after)
			written = int(tag.RowsAffected())
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("write keys: %w", explain(err))
	}
	return written, nil
}
