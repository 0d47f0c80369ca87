package keyring

import (
	"context"

	"coderhook/coderclient"
	"coderhook/hook/metrics"
	"coderhook/hook/rotation"
	"coderhook/store"

	"github.com/prometheus/client_golang/prometheus"
)

// notePlanted tells of a key that was put into a profile past us. It is handed out to nobody, and the mint replaces it.
func (k *Keyring) notePlanted(ctx context.Context, a store.Account) {
	k.metrics.planted.Inc()
	k.Log.Error().Stringer("user_id", a.UserID).Str("key_id", coderclient.KeyID(a.APIKey)).Str("own_key_id", a.KeyID).
		Msg("the profile holds a key that is not the user's own: it is not handed out; see who can write the keys with coderhook doctor")
	rotation.Note(ctx, k.Trail, k.Log, a, store.KeyPlanted, "beside the user's own, "+a.KeyID)
}

// counters counts how long a mint's stages take, and mints that met something that is not ours.
type counters struct {
	planted    prometheus.Counter
	distrusted prometheus.Counter
	stageTime  *prometheus.HistogramVec
}

func newCounters(r *metrics.Registry) *counters {
	m := &counters{
		planted:    r.Counter("coderhook_planted_keys_total", "Mints that found a key in the profile which is not the one that was stored for the user: it is not handed out."),
		distrusted: r.Counter("coderhook_distrusted_rows_total", "Mints that met a row of the ledger without a seal, or with one that does not fit: nothing is done on its word."),
		stageTime:  r.Times("coderhook_stage_duration_seconds", "Time of a mint's stages: lookup, provision.", "stage"),
	}
	m.stageTime.WithLabelValues("lookup")
	m.stageTime.WithLabelValues("provision")
	return m
}

// noteDistrust logs and counts a mint that met such a row.
func (k *Keyring) noteDistrust(a store.Account) {
	k.metrics.distrusted.Inc()
	k.Log.Error().Err(a.Distrust()).Stringer("user_id", a.UserID).Stringer("coder_user_id", a.CoderUserID).Msg("nothing is done on this row's word")
}
