package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const noteEncryptionKeySQL = `insert into coderhook.encryption_keys (id) values ($1) on conflict (id) do nothing`

// noteEncryptionKey tells the other replicas, in the transaction that writes a value, which key encrypted it.
func (s *Store) noteEncryptionKey(ctx context.Context, tx pgx.Tx) error {
	if !s.encryption.encrypts {
		return nil
	}
	_, err := tx.Exec(ctx, noteEncryptionKeySQL, s.encryption.keys[0].id)
	return err
}

const encryptionKeyNotedSQL = `select exists (select from coderhook.encryption_keys where id = $1) as noted`

// decrypted replaces what the profile holds by the key that it stands for.
func (s *Store) decrypted(ctx context.Context, a Account) (_ Account, err error) {
	if a.APIKey, a.Encryption, err = s.decrypt(ctx, profileKey, a.UserID, a.APIKey); err != nil {
		return Account{}, err
	}
	return a, nil
}

// decrypt returns a user's secret of that purpose, or "" and why it can't be read. A value that names an encryption key
// which nobody has ever used was planted. Only for one of a key that is not ours this is a round trip.
func (s *Store) decrypt(ctx context.Context, p purpose, user uuid.UUID, stored string) (secret string, found Encryption, _ error) {
	secret, found, keyID := s.encryption.decrypt(p, user, stored)
	if found != Locked {
		return secret, found, nil
	}
	row, err := one[struct{ Noted bool }](ctx, s, encryptionKeyNotedSQL, keyID)
	switch {
	case errors.Is(err, ErrNotMigrated): // and so nobody has encrypted anything
		return "", Forged, nil
	case err != nil:
		return "", Locked, fmt.Errorf("look up encryption key: %w", err)
	case !row.Noted:
		return "", Forged, nil
	}
	return "", Locked, nil
}

const encryptionKeysSQL = `select id from coderhook.encryption_keys where id <> all($1::text[]) order by first_used`

// MissingEncryptionKeys returns the ids of those with which replicas have encrypted, and which this store does not have.
func (s *Store) MissingEncryptionKeys(ctx context.Context) ([]string, error) {
	rows, err := all[struct{ ID string }](ctx, s, encryptionKeysSQL, s.encryption.ids())
	if errors.Is(err, ErrNotMigrated) && !s.encryption.encrypts { // else it can store no key
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ids of encryption keys: %w", err)
	}
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	return ids, nil
}

func (e encryption) ids() []string {
	ids := make([]string, len(e.keys))
	for i, key := range e.keys {
		ids[i] = key.id
	}
	return ids
}

// ErrEncryptionKeyMissing says that this store can't read what other replicas have encrypted, and would write plain keys, or
// such as they can't read.
var ErrEncryptionKeyMissing = errors.New("keys are encrypted with one that is not in KEY_ENCRYPTION_KEYS: set it to what the other replicas have; " +
	"or, if that one is lost, run coderhook rotate-keys --forget ID: the next mints make new keys")

// CheckEncryptionKeys returns [ErrEncryptionKeyMissing] where it is so.
func (s *Store) CheckEncryptionKeys(ctx context.Context) error {
	missing, err := s.MissingEncryptionKeys(ctx)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%w (%v)", ErrEncryptionKeyMissing, missing)
	}
	return err
}

const forgetEncryptionKeySQL = `delete from coderhook.encryption_keys where id = $1`

// ForgetEncryptionKey says that an encryption key is lost: what it encrypted counts as planted from now on. It returns
// [ErrNotFound] where none of that id was used.
func (s *Store) ForgetEncryptionKey(ctx context.Context, id string) error {
	changed, err := s.exec(ctx, forgetEncryptionKeySQL, id)
	if err == nil && changed == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("forget encryption key: %w", err)
	}
	return nil
}
