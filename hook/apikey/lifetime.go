package apikey

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
)

// usualTokenLife is Supabase's default for an access token; it stands in until one was seen.
const usualTokenLife = time.Hour

// Lives is what the ledger has seen of lifetimes.
type Lives interface {
	// Lives tells how long access tokens live at most, and the key that was made last; zero when unknown.
	Lives(context.Context) (token, key time.Duration, err error)
}

// CheckLifetime refuses a configured lifetime of keys that is less than twice that of the access
// tokens. How long those live only their mints tell, so the longest that was seen counts, and
// Supabase's default before any was. What Coder itself imposes is only complained about: it may
// change at any time, and sign-ins must go on.
func CheckLifetime(ctx context.Context, seen Lives, configured time.Duration, log zerolog.Logger) error {
	asking, cancel := context.WithTimeout(ctx, 5*time.Second) // the start does not depend on the database
	defer cancel()
	token, key, err := seen.Lives(asking)
	if err != nil {
		log.Warn().Err(err).Msg("how long access tokens live is not known: one hour is assumed")
	}
	source := "the longest that was seen"
	if token == 0 {
		token, source = usualTokenLife, "Supabase's default"
	}
	if configured > 0 && configured < 2*token {
		return fmt.Errorf("CODER_TOKEN_LIFETIME: %s is less than twice the life of an access token (%s, %s): it would renew the key at nearly every mint; set at least %s, or 0",
			configured, token, source, 2*token)
	}
	if key > 0 && key < 2*token {
		log.Error().Stringer("key_lifetime", key).Stringer("token_life", token).
			Msg("Coder's tokens live less than twice as long as access tokens: keys are renewed at nearly every mint; raise Coder's maximum and CODER_TOKEN_LIFETIME")
	}
	return nil
}

// TokenLife returns how long the token lives that is being minted, in whole minutes, as the clocks
// of Supabase Auth and ours are not quite the same.
func TokenLife(until, now time.Time) time.Duration {
	return (max(until.Sub(now), 0) + time.Minute - 1).Truncate(time.Minute)
}

// NoteTokenLife writes down how long tokens live, if longer than was known: so long a replaced key is kept.
func (m *Minter) NoteTokenLife(ctx context.Context, w Wanted) error {
	if life := TokenLife(w.Until, m.Now()); life > w.Known {
		return m.Ledger.RecordTokenLife(ctx, w.UserID, life)
	}
	return nil
}
