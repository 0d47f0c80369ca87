package config

import (
	"errors"
	"slices"
	"strings"
	"time"

	"coderhook/hook/webhook"
	"coderhook/store"
)

const (
	// SecretsVariable holds the hook's secrets.
	SecretsVariable = "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS"
	// MakeSecret is the command that makes one.
	MakeSecret = `echo "v1,whsec_$(openssl rand -base64 32)"`
	// SecretCure says what to do about a secret that is none.
	SecretCure = "copy the secret from the hook's settings in Supabase, or make one with: " + MakeSecret

	// LedgerSecretVariable holds the secrets of the ledger's seals.
	LedgerSecretVariable = "LEDGER_SECRET"
	// MakeLedgerSecret is the command that makes one.
	MakeLedgerSecret = "openssl rand -base64 32"

	// EncryptionKeysVariable holds the keys with which the keys in the profiles are encrypted.
	EncryptionKeysVariable = "KEY_ENCRYPTION_KEYS"
	// MakeEncryptionKey is the command that makes one.
	MakeEncryptionKey = "openssl rand -base64 32"

	// separatorCure is for a list of secrets with an empty one in it.
	separatorCure = "remove the | that has no secret on one of its sides"
)

// readSecrets makes a fault of each secret that can't be used; then none is returned.
func readSecrets(v *variables) ([]string, *webhook.Verifier) {
	all := v.required(SecretsVariable, "copy it from the hook's settings in Supabase, like v1,whsec_<base64>")
	if all == "" {
		return nil, nil
	}
	verifier, err := webhook.NewVerifier(all, time.Now)
	for _, fault := range Faults(err) {
		do := SecretCure
		if errors.Is(fault, webhook.ErrEmptySecret) {
			do = separatorCure
		}
		v.fault(SecretsVariable, "%w; %s", fault, do)
	}
	if err != nil {
		return nil, nil
	}
	return split(all), verifier
}

// readLedgerSecrets returns them the newest first, as those of the hook.
func readLedgerSecrets(v *variables) []string {
	all := v.secret(LedgerSecretVariable)
	if all == "" {
		return nil
	}
	secrets := split(all)
	for i, secret := range secrets {
		if err := store.CheckSealSecret(secret); err != nil {
			do := "make one with: " + MakeLedgerSecret
			if secret == "" {
				do = separatorCure
			}
			v.fault(LedgerSecretVariable, "secret %d %w; %s", i+1, err, do)
		}
	}
	return secrets
}

// readEncryptionKeys returns them the newest first; the word plain may stand there instead.
func readEncryptionKeys(v *variables) []string {
	all := v.secret(EncryptionKeysVariable)
	if all == "" {
		return nil
	}
	keys := split(all)
	for i, key := range keys {
		known := slices.Index(keys, key)
		switch err := store.CheckEncryptionKey(key); {
		case i == 0 && key == store.WriteInPlain:
		case key == "":
			v.fault(EncryptionKeysVariable, "key %d is empty; %s", i+1, separatorCure)
		case key == store.WriteInPlain:
			v.fault(EncryptionKeysVariable, "key %d is the word %s; write it before the keys, where the newest would stand", i+1, key)
		case err != nil:
			v.fault(EncryptionKeysVariable, "key %d %w; make one with: %s", i+1, err, MakeEncryptionKey)
		case known < i:
			v.fault(EncryptionKeysVariable, "key %d is key %d once more; remove it", i+1, known+1)
		}
	}
	return keys
}

// readRefusePlain is only for who encrypts: else every key would be refused that is stored.
func readRefusePlain(v *variables, keys []string) bool {
	refuse := v.oneOf("REFUSE_PLAIN_KEYS", "false", "true") == "true"
	if refuse && (len(keys) == 0 || keys[0] == store.WriteInPlain) {
		v.fault("REFUSE_PLAIN_KEYS", "keys are stored in plain; set %s to a key first, and encrypt those that are there with coderhook rotate-keys", EncryptionKeysVariable)
	}
	return refuse
}

// split separates the secrets of a variable.
func split(all string) []string {
	secrets := strings.Split(all, "|")
	for i := range secrets {
		secrets[i] = strings.TrimSpace(secrets[i])
	}
	return secrets
}
