package hook

import (
	"context"
	"errors"
	"strings"

	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/frontend"
	"coderhook/hook/keyring"
	"coderhook/hook/provision"
	"coderhook/hook/rotation"
	"coderhook/store"
)

// FrontEndKeys gives the front end's routes keys as a mint finds and makes them.
type FrontEndKeys struct{ Keyring *keyring.Keyring }

// Key returns the user's key, and has one made where there is none that outlives the token.
func (k FrontEndKeys) Key(ctx context.Context, want frontend.Wanted) frontend.Found {
	found := k.Keyring.Key(ctx, keyring.Wanted{
		User: want.User, Email: want.Email, Until: want.Until, Claims: want.Claims, OutOfClaims: k.Keyring.Provisioner.OutOfClaims,
	})
	stages := []frontend.Stage{{Name: "lookup", Took: found.Lookup}}
	if found.Provision > 0 {
		stages = append(stages, frontend.Stage{Name: "provision", Took: found.Provision})
	}
	return frontend.Found{
		Key: found.Key, Made: found.Made, Err: found.Err, Why: WhyNoKey(found.Err),
		Renewal: found.Renewal, Stages: stages, Answered: found.Answered,
	}
}

// HandsOut returns the user with the key that is for the bearer of a token, and whether it is one that a token may carry now.
func (k FrontEndKeys) HandsOut(ctx context.Context, to frontend.Wanted) (a store.Account, hands bool, err error) {
	a, grant, err := k.Keyring.Seen(ctx, to.User, to.Claims)
	if err != nil {
		return a, false, err
	}
	now, rule := k.Keyring.Now(), k.Keyring.Rule
	rule.Grant = grant
	return a, rule.Judge(a, now, now) > apikey.Other, nil
}

// Doubt checks a key at once that Coder has just refused.
func (k FrontEndKeys) Doubt(ctx context.Context, of frontend.Wanted, key string) {
	k.Keyring.Rotator.Doubt(ctx, rotation.Subject{UserID: of.User, Email: of.Email}, key)
}

// WhyNoKey is the code of a reason. That of a conflict may come from the ledger, which keeps it as text.
func WhyNoKey(err error) frontend.Why {
	switch {
	case errors.Is(err, provision.ErrLeft):
		return frontend.Left
	case errors.Is(err, provision.ErrStopping):
		return frontend.Stopping
	case errors.Is(err, account.ErrConflict) && strings.Contains(err.Error(), account.ErrSuspended.Error()):
		return frontend.Suspended
	case errors.Is(err, account.ErrConflict) && strings.Contains(err.Error(), account.ErrForeign.Error()):
		return frontend.Foreign
	}
	switch provision.StatusOf(err) {
	case provision.StatusConflict:
		return frontend.Conflict
	case provision.StatusPending:
		return frontend.Pending
	case provision.StatusNotEligible:
		return frontend.Ineligible
	}
	return frontend.Unavailable
}
