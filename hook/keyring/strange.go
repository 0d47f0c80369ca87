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
	why, unreadable := "beside the user's own, "+a.KeyID, a.Unreadable()
	if unreadable != nil {
		k.metrics.faults.WithLabelValues(faults[a.Encryption]).Inc()
		why = unreadable.Error()
	}
	k.Log.Error().Err(unreadable).Stringer("user_id", a.UserID).Str("key_id", coderclient.KeyID(a.APIKey)).Str("own_key_id", a.KeyID).
		Msg("the profile holds a key that is not the user's own: it is not handed out; see who can write the keys with coderhook doctor")
	rotation.Note(ctx, k.Trail, k.Log, a, store.KeyPlanted, why)
}

// noteLocked tells of a key that other replicas can read.
func (k *Keyring) noteLocked(a store.Account) {
	k.metrics.faults.WithLabelValues(faults[a.Encryption]).Inc()
	k.Log.Error().Err(a.Unreadable()).Stringer("user_id", a.UserID).Msg("the key in the profile can't be read here: it is left as it is, and the token goes out without it")
}

// faults name what can't be read, for the metric.
var faults = map[store.Encryption]string{store.Locked: "locked", store.Forged: "forged", store.PlainRefused: "plain"}

// counters counts how long a mint's stages take, and mints that met something that is not ours.
type counters struct {
	planted    prometheus.Counter
	distrusted prometheus.Counter
	faults     *prometheus.CounterVec
	stageTime  *prometheus.HistogramVec
}

func newCounters(r *metrics.Registry) *counters {
	m := &counters{
		planted:    r.Counter("coderhook_planted_keys_total", "Mints that found a key in the profile which is not the one that was stored for the user: it is not handed out."),
		distrusted: r.Counter("coderhook_distrusted_rows_total", "Mints that met a row of the ledger without a seal, or with one that does not fit: nothing is done on its word."),
		faults:     r.Counters("coderhook_key_faults_total", "Mints that met something in the profile which can't be read: locked, as only other replicas have the encryption key; forged; or plain, where that is refused.", "fault"),
		stageTime:  r.Times("coderhook_stage_duration_seconds", "Time of a mint's stages: lookup, provision.", "stage"),
	}
	for _, fault := range faults {
		m.faults.WithLabelValues(fault)
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
