package rotation

import (
	"context"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// Trail is where it is written down what was seen.
type Trail interface {
	Note(ctx context.Context, event store.Event) error
}

// Note leaves a row in the audit trail about something that was seen.
func Note(ctx context.Context, trail Trail, log zerolog.Logger, a store.Account, what store.Action, why string) {
	err := trail.Note(ctx, store.Event{Action: what, UserID: a.UserID, CoderUserID: a.CoderUserID, KeyID: coderclient.KeyID(a.APIKey), Detail: why})
	if err != nil {
		log.Warn().Err(err).Stringer("user_id", a.UserID).Str("action", string(what)).Msg("no row in the audit trail")
	}
}
