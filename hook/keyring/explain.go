package keyring

import (
	"fmt"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/provision"
	"coderhook/store"
)

// Explain says what the mint of a token that lives until then would do for the account, and why.
// It asks nobody and changes nothing.
func Explain(o provision.Options, a store.Account, until time.Time) string {
	now := o.Now()
	key := "the key " + coderclient.KeyID(a.APIKey)
	ends := a.KeyExpiresAt.UTC().Format(time.RFC3339)
	verb := "carries"
	if o.OutOfClaims {
		verb = "says ready, and does not carry"
	}
	switch (apikey.Rule{RenewBefore: o.RenewBefore, OutOfClaims: o.OutOfClaims, Grant: a.KeyGrant}).Judge(a, until, now) {
	case apikey.Locked:
		return fmt.Sprintf("answers %s, and leaves everything as it is: %v", provision.StatusUnavailable, store.ErrLocked)
	case apikey.Good:
		return fmt.Sprintf("%s %s: it lives until %s, longer than the token%s%s", verb, key, ends, explainCheck(o, a, now), explainUnseen(o, a))
	case apikey.Aging:
		return fmt.Sprintf("%s %s, which lives until %s; that is within its renewal window, so another is made after the answer", verb, key, ends)
	case apikey.GivenOut:
		return fmt.Sprintf("%s %s; tokens have carried it (KEY_IN_CLAIMS was true), so another is made after the answer", verb, key)
	case apikey.Unknown:
		return fmt.Sprintf("%s %s; the ledger does not know it, so Coder is asked about it after the answer", verb, key)
	case apikey.Short:
		return fmt.Sprintf("makes a new key before it answers, as %s ends at %s, before the token does; if Coder can't be reached, %s the old one", key, ends, verb)
	}
	return explainMissing(o, a, now)
}

func explainCheck(o provision.Options, a store.Account, now time.Time) string {
	if now.Sub(a.KeyCheckedAt) < o.CheckInterval {
		return ""
	}
	return "; after the answer, Coder is asked whether it still takes it"
}

// explainUnseen is for a key that was made while tokens carried none.
func explainUnseen(o provision.Options, a store.Account) string {
	if o.OutOfClaims || !a.KeyUnseen {
		return ""
	}
	return "; it is the first token to do so, which is written down before the answer"
}

// explainMissing is for an account without a key that could be handed out.
func explainMissing(o provision.Options, a store.Account, now time.Time) string {
	if wait := o.RetryConflict - now.Sub(a.UpdatedAt); a.Conflicted() && wait > 0 {
		return fmt.Sprintf("answers %s without asking Coder, for another %s: %s", provision.StatusConflict, wait.Round(time.Second), a.LastError)
	}
	if err := a.Distrust(); err != nil {
		return fmt.Sprintf("answers %s: %v", provision.StatusConflict, err)
	}
	why, holder := "there is none", "the profile holds"
	if a.Set != "" {
		holder = "is stored"
	}
	switch {
	case a.Status == store.Offboarded:
		why = "the user was off-boarded; a key is only made if they are here again in Supabase"
	case a.Status == store.Suspended:
		why = "the user was suspended in Coder; a key is only given if that has ended"
	case a.Unreadable() != nil:
		why = a.Unreadable().Error()
	case a.APIKey != "" && coderclient.KeyID(a.APIKey) == "":
		why = "what the profile holds has not the form of a key"
	case a.KeyID != coderclient.KeyID(a.APIKey) && apikey.HasOwn(a) && a.APIKey != "":
		why = "the key " + coderclient.KeyID(a.APIKey) + " that the profile holds is not the user's own, " + a.KeyID + ": somebody else wrote it"
	case a.KeyRefused:
		why = "Coder did not take the one that the profile holds"
	case a.APIKey != "":
		why = "the one that " + holder + " ended at " + a.KeyExpiresAt.UTC().Format(time.RFC3339)
	}
	who := "makes a Coder user, then a key"
	if a.CoderUsername != "" {
		who = "makes a key for the Coder user " + a.CoderUsername
	}
	if a.Leased {
		who = "waits for another mint that is at it (or was killed at it: at most " + o.LeaseTTL.String() + "), else " + who
	}
	return who + ", before it answers: " + why
}

// WaysOut is what an operator can do about a conflict that does not say so itself, or "".
func WaysOut(a store.Account) string {
	if a.Status != store.Conflict || !strings.Contains(a.LastError, account.ErrForeign.Error()) {
		return ""
	}
	return fmt.Sprintf("coderhook link --user %s --coder-user NAME gives this user that account (with --from UUID where another user has it, who is there but no longer has the address); "+
		"or change the address of the account in Coder, or the user's in Supabase: the next mint makes an account", a.UserID)
}
