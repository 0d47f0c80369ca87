package hook

import (
	"context"
	"errors"
	"strings"
	"time"

	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/claims"
	"coderhook/hook/frontend"
	"coderhook/hook/webhook"
	"coderhook/store"
)

// FrontEndKeys gives the front end's routes keys as a mint finds and makes them.
type FrontEndKeys struct{ Server *Server }

// Key returns the user's key, and has one made where there is none that outlives the token.
func (k FrontEndKeys) Key(ctx context.Context, want frontend.Wanted) frontend.Found {
	var stages []frontend.Stage
	told := &record{metrics: k.Server.Provisioner.Metrics, staged: func(name string, took time.Duration) {
		stages = append(stages, frontend.Stage{Name: name, Took: took})
	}}
	deciding := claims.Claims{Email: want.Email, Expires: want.Until.Unix()}
	found := k.Server.resolve(ctx, &webhook.Event{User: want.User, Deciding: deciding}, told)
	return frontend.Found{
		Key: found.key, Made: found.made, Err: found.err, Why: whyNoKey(found.err),
		Renewal: found.renewal, Stages: stages, Answered: found.answered,
	}
}

// HandsOut reports whether the key in the profile is one that a token may carry now.
func (k FrontEndKeys) HandsOut(a store.Account) bool {
	now := k.Server.Now()
	return k.Server.Provisioner.Rule.Judge(a, now, now) > apikey.Missing
}

// Doubt checks a key at once that Coder has just refused.
func (k FrontEndKeys) Doubt(ctx context.Context, of frontend.Wanted, key string) {
	k.Server.Provisioner.Rotator.Doubt(ctx, Subject{UserID: of.User, Email: of.Email}, key)
}

// whyNoKey is the code of a reason. That of a conflict may come from the ledger, which keeps it as text.
func whyNoKey(err error) frontend.Why {
	switch {
	case err == nil:
		return frontend.Unavailable
	case errors.Is(err, errLeft):
		return frontend.Left
	case errors.Is(err, errStopping):
		return frontend.Stopping
	case errors.Is(err, account.ErrConflict) && strings.Contains(err.Error(), account.ErrSuspended.Error()):
		return frontend.Suspended
	case errors.Is(err, account.ErrConflict) && strings.Contains(err.Error(), account.ErrForeign.Error()):
		return frontend.Foreign
	case errors.Is(err, account.ErrConflict):
		return frontend.Conflict
	case errors.Is(err, errPending):
		return frontend.Pending
	}
	return frontend.Unavailable
}
