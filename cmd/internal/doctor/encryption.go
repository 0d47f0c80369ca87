package doctor

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"coderhook/cmd/internal/config"
	"coderhook/store"
)

// checkEncryption counts the keys in the profiles by how they are stored.
func (d *Doctor) checkEncryption(ctx context.Context, i *store.Inspector) error {
	const check = "encryption of keys"
	if !d.ledger.Complete() || !d.ledger.Usable {
		return nil // as was said
	}
	shape, err := i.Shape(ctx)
	if err != nil || !shape.Rights || !holdsKey(shape.KeyType) {
		return err // likewise
	}
	database, err := store.Open(ctx, d.config.Database)
	if err != nil {
		return err
	}
	defer database.Close()
	n, err := database.EncryptionCensus(ctx)
	if err != nil {
		return err
	}
	missing, err := database.MissingEncryptionKeys(ctx)
	if err != nil {
		return err
	}
	known := d.Count(Failure) + d.Count(Warning)
	for _, id := range slices.Sorted(maps.Keys(n.Missing)) {
		d.fail(check, cure{do: "set KEY_ENCRYPTION_KEYS to what the other replicas have; if that one is lost: coderhook rotate-keys --forget " + id},
			"%d keys are encrypted with %s, which is not in %s: their users get none here", n.Missing[id], id, config.EncryptionKeysVariable)
	}
	if n.Nobodys > 0 {
		d.warn(check, cure{do: "find out who can write that column; the users' next mints replace them"}, "%d rows name an encryption key that nobody has: somebody else wrote them", n.Nobodys)
	}
	if len(missing) > len(n.Missing) {
		d.warn(check, cure{do: "set KEY_ENCRYPTION_KEYS to what the other replicas have, or, if none has them any more, run coderhook rotate-keys"},
			"other replicas have encrypted with keys that are not in %s: %v", config.EncryptionKeysVariable, missing)
	}
	d.judgeEncryption(check, i, shape, n)
	if d.Count(Failure)+d.Count(Warning) == known {
		d.ok(check, "%d keys are encrypted, %d are not", n.Newest+n.Older, n.Plain)
	}
	return nil
}

// longestEncrypted is of an encrypted key, in characters.
const longestEncrypted = 106

// judgeEncryption says what is left to do where keys are to be encrypted.
func (d *Doctor) judgeEncryption(check string, i *store.Inspector, shape store.Table, n store.EncryptionCensus) {
	keys := d.config.Database.EncryptionKeys
	if len(keys) == 0 {
		return
	}
	if !holds(shape.KeyType, longestEncrypted) {
		d.fail(check, runSQL(fmt.Sprintf("alter table %s alter column %s type text;", i.Table(), i.Key())),
			"column %s is %s, in which an encrypted key of %d characters does not fit", i.Key(), shape.KeyType, longestEncrypted)
	}
	for which, key := range keys {
		if raw, _ := base64.StdEncoding.DecodeString(key); key != store.WriteInPlain && guessable(raw) {
			d.warn(check, cure{do: "make another with: " + config.MakeEncryptionKey + "; put it first, and run coderhook rotate-keys"}, "key %d looks like text or a pattern, not like random bytes", which+1)
		}
	}
	rotate := cure{do: "run coderhook rotate-keys"}
	switch {
	case keys[0] == store.WriteInPlain && n.Older > 0:
		d.warn(check, cure{do: "put the newest key first, in place of the word plain; or, on the way back, run coderhook rotate-keys --decrypt and remove the variable"},
			"%s begins with plain: new keys are not encrypted, and %d are", config.EncryptionKeysVariable, n.Older)
	case keys[0] == store.WriteInPlain: // on the way there
	case n.Plain > 0:
		d.warn(check, rotate, "%d keys are not encrypted", n.Plain)
	case n.Older > 0:
		rotate.do += ", then remove the older ones from " + config.EncryptionKeysVariable
		d.warn(check, rotate, "%d keys are encrypted with a key that is being replaced", n.Older)
	}
}
