package hook

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"coderhook/hook/apikey"
	"coderhook/hook/authtest"

	"github.com/rs/zerolog"
)

type lives struct {
	token, key time.Duration
	err        error
}

func (l lives) Lives(context.Context) (token, key time.Duration, err error) {
	return l.token, l.key, l.err
}

func TestLifetimeShorterThanTwiceTheTokensIsRefused(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	for name, test := range map[string]struct {
		seen       lives
		configured time.Duration
		want, logs string
	}{
		"left to Coder":                       {lives{}, 0, "", ""},
		"twice the default":                   {lives{}, 2 * time.Hour, "", ""},
		"less than twice the default":         {lives{}, 119 * time.Minute, "at least 2h0m0s", ""},
		"less than twice what was seen":       {lives{token: 24 * time.Hour}, 47 * time.Hour, "(24h0m0s, the longest that was seen)", ""},
		"short tokens":                        {lives{token: 10 * time.Minute}, 30 * time.Minute, "", ""},
		"the database is down":                {lives{err: down}, 3 * time.Hour, "", "one hour is assumed"},
		"the database is down, and too short": {lives{err: down}, time.Hour, "CODER_TOKEN_LIFETIME", "one hour is assumed"},
		"Coder's own limit is too short":      {lives{token: time.Hour, key: 90 * time.Minute}, 0, "", "raise Coder's maximum"},
	} {
		log := new(logBuffer)
		err := apikey.CheckLifetime(t.Context(), test.seen, test.configured, zerolog.New(log))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if (log.String() == "") != (test.logs == "") || !strings.Contains(log.String(), test.logs) {
			t.Errorf("%s: logged %q, want %q", name, log, test.logs)
		}
	}
}

// What is compared at start is what the mints before have shown.
func TestLivesAreLearntFromMints(t *testing.T) {
	t.Parallel()
	w, _, _ := newbie(t, profileNew())
	token, key, err := w.store.Lives(t.Context())
	if err != nil || token != time.Hour || key != 7*authtest.Day {
		t.Errorf("tokens %s, keys %s, %v", token, key, err)
	}
}
