package hook

import (
	"context"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/rs/zerolog"
)

// notePlanted tells of a key that was put into a profile past us. It is handed out to nobody, and the mint replaces it.
func (p *Provisioner) notePlanted(ctx context.Context, a store.Account) {
	p.Metrics.planted.Inc()
	p.Log.Error().Stringer("user_id", a.UserID).Str("key_id", coderclient.KeyID(a.APIKey)).Str("own_key_id", a.KeyID).
		Msg("the profile holds a key that is not the user's own: it is not handed out; see who can write the keys with coderhook doctor")
	note(ctx, p.Ledger, p.Log, a, store.KeyPlanted, "beside the user's own, "+a.KeyID)
}

// note leaves a row in the audit trail about something that was seen.
func note(ctx context.Context, trail Trail, log zerolog.Logger, a store.Account, what store.Action, why string) {
	err := trail.Note(ctx, store.Event{Action: what, UserID: a.UserID, CoderUserID: a.CoderUserID, KeyID: coderclient.KeyID(a.APIKey), Detail: why})
	if err != nil {
		log.Warn().Err(err).Stringer("user_id", a.UserID).Str("action", string(what)).Msg("no row in the audit trail")
	}
}

// Trail is where it is written down what was seen.
type Trail interface {
	Note(ctx context.Context, event store.Event) error
}
