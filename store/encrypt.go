package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Secrets are encrypted on their way into the database and decrypted on their way out of it: nobody above this package
// knows. A stored one is enc:v1:<id of the encryption key>:<nonce, ciphertext and tag in base64url>, by AES-256-GCM with
// a random nonce. What it is for and whose it is are additional data, so that it opens nowhere else.
const (
	encMark    = "enc:"
	encVersion = "v1"
)

// WriteInPlain stands where the newest encryption key would: what is written stays plain, and what the other keys
// encrypted is read.
const WriteInPlain = "plain"

var (
	// ErrLocked says that another replica encrypted the key, with an encryption key that this one does not have.
	ErrLocked = errors.New("the key is encrypted with a key that this replica does not have: set KEY_ENCRYPTION_KEYS to what the others have")
	// ErrForged says that nobody of ours encrypted it for this user.
	ErrForged = errors.New("what the profile holds was not encrypted for this user by us")
	// ErrPlain says that it is not encrypted where it has to be.
	ErrPlain = errors.New("what the profile holds is not encrypted, and REFUSE_PLAIN_KEYS is set")
)

// Encryption is how a secret was found in the database.
type Encryption int

const (
	Unencrypted  Encryption = iota // or there was none
	Encrypted                      // with one of our encryption keys
	Locked                         // see ErrLocked
	Forged                         // see ErrForged
	PlainRefused                   // see ErrPlain
)

// Unreadable is nil, or the reason why the profile's value is not the user's key.
func (a Account) Unreadable() error {
	switch a.Encryption {
	case Locked:
		return ErrLocked
	case Forged:
		return ErrForged
	case PlainRefused:
		return ErrPlain
	}
	return nil
}

// purpose is what a secret is for.
type purpose string

const profileKey purpose = "profile"

// encryption has the keys with which secrets are encrypted, the newest first. Its zero value writes and reads plain ones.
type encryption struct {
	keys        []encryptionKey
	encrypts    bool // what is written, with the first of them
	refusePlain bool
}

type encryptionKey struct {
	id   string
	aead cipher.AEAD
}

func newEncryption(c Config) (encryption, error) {
	e := encryption{refusePlain: c.RefusePlainKeys}
	for i, text := range c.EncryptionKeys {
		if i == 0 && text == WriteInPlain {
			continue
		}
		key, err := readEncryptionKey(text)
		if err != nil {
			return e, fmt.Errorf("encryption key %d %w", i+1, err)
		}
		e.keys = append(e.keys, key)
	}
	e.encrypts = len(e.keys) > 0 && c.EncryptionKeys[0] != WriteInPlain
	return e, nil
}

// CheckEncryptionKey says what is wrong with an encryption key.
func CheckEncryptionKey(text string) error {
	_, err := readEncryptionKey(text)
	return err
}

// encryptionKeySize is AES-256's, in bytes.
const encryptionKeySize = 32

func readEncryptionKey(text string) (encryptionKey, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	switch {
	case text == "":
		return encryptionKey{}, errors.New("is empty")
	case err != nil: // its text would show a part of the key
		return encryptionKey{}, errors.New("is not base64")
	case len(raw) != encryptionKeySize:
		return encryptionKey{}, fmt.Errorf("has %d bytes; %d random ones are needed", len(raw), encryptionKeySize)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return encryptionKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	id := sha256.Sum256(append([]byte("coderhook encryption key 1\n"), raw...))
	return encryptionKey{hex.EncodeToString(id[:8]), aead}, err
}

// prefix begins what this key has encrypted.
func (k encryptionKey) prefix() string { return encMark + encVersion + ":" + k.id + ":" }

func (k encryptionKey) encrypt(p purpose, user uuid.UUID, secret string) string {
	return k.prefix() + base64.RawURLEncoding.EncodeToString(k.aead.Seal(nil, nil, []byte(secret), about(p, user)))
}

// about is the additional data. The user's part has a fixed length, so that no two pairs look alike.
func about(p purpose, user uuid.UUID) []byte {
	return append([]byte("coderhook "+encVersion+" "+string(p)+"\n"), user[:]...)
}

// encrypt returns what is to be stored.
func (e encryption) encrypt(p purpose, user uuid.UUID, secret string) string {
	if !e.encrypts {
		return secret
	}
	return e.keys[0].encrypt(p, user, secret)
}

// longestStored bounds what is decoded of a value that anybody may have written.
const longestStored = 4 << 10

// decrypt returns the secret and how it was found; the secret is "" where it can't be read. Locked may turn out to be
// Forged: whether another replica has the encryption key of that id, only the database can tell.
func (e encryption) decrypt(p purpose, user uuid.UUID, stored string) (secret string, found Encryption, keyID string) {
	rest, ok := strings.CutPrefix(stored, encMark)
	switch {
	case !ok && e.refusePlain && stored != "":
		return "", PlainRefused, ""
	case !ok:
		return stored, Unencrypted, ""
	}
	version, rest, _ := strings.Cut(rest, ":")
	keyID, text, ok := strings.Cut(rest, ":")
	if !ok || len(stored) > longestStored {
		return "", Forged, ""
	}
	for _, key := range e.keys {
		if key.id == keyID && version == encVersion {
			secret, found = key.decrypt(p, user, text)
			return secret, found, keyID
		}
	}
	return "", Locked, keyID // or of a later version of ours
}

func (k encryptionKey) decrypt(p purpose, user uuid.UUID, text string) (secret string, found Encryption) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", Forged
	}
	opened, err := k.aead.Open(nil, nil, sealed, about(p, user))
	if err != nil {
		return "", Forged
	}
	return string(opened), Encrypted
}
