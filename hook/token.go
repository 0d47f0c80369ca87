package hook

import (
	"context"
	"errors"
	"net/http"
	"time"

	"coderhook/hook/apikey"
	"coderhook/hook/claims"
	"coderhook/hook/policy"
	"coderhook/hook/proof"
	"coderhook/hook/webhook"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// Accounts is what a mint reads.
type Accounts interface {
	// Lookup tells what profile and ledger know of a user, in one round trip.
	Lookup(context.Context, uuid.UUID) (store.Account, error)
}

// customAccessToken answers one token mint.
func (s *Server) customAccessToken(c echo.Context) error {
	record := s.newRecord()
	defer record.end()
	// A twentieth is kept for the way back.
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.Deadline-s.Deadline/20)
	defer cancel()

	ev, err := s.receive(c)
	if err != nil {
		record.is("refused", refusal(err))
		record.line.AnErr("error", err)
		return err
	}
	defer proof.Give(ctx)()
	record.line.Stringer("user_id", ev.User).Str("method", ev.Method).Str("call_id", ev.CallID()).
		Str("webhook_id", c.Request().Header.Get("Webhook-Id"))
	s.lastIssuer(c, ev)
	if reason := s.Policy.Skip(ev.Deciding); reason != "" {
		return s.skipped(c, ev, reason, record)
	}
	found := s.resolve(ctx, ev, record)
	defer found.answered() // even after a panic: what waits for the answer must not wait for ever
	err = s.deliver(c, ev, found, record)
	record.line.AnErr("undelivered", err)
	return err
}

// skipped answers for a user who gets no key by policy.
func (s *Server) skipped(c echo.Context, ev *webhook.Event, reason string, record *record) error {
	record.is("skipped", reason)
	if reason == policy.SkipRole {
		record.line.Str("role", ev.Deciding.Role)
	}
	if policy.Tells(reason, ev.Deciding) {
		return answer(c, ev.With(claims.StatusMember, string(statusNotEligible)))
	}
	return answer(c, webhook.Echo(ev.Claims))
}

// receive reads and verifies the request, and only then decodes it.
func (s *Server) receive(c echo.Context) (*webhook.Event, error) {
	body, known, err := s.intake.read(c.Response(), c.Request())
	defer known()
	if err != nil {
		return nil, err
	}
	if err := s.Verifier.Verify(body, c.Request().Header); err != nil {
		return nil, echo.NewHTTPError(http.StatusUnauthorized, "signature not accepted: "+err.Error())
	}
	if !s.deliveries.take(c.Request().Header.Get("Webhook-Id"), s.Now()) {
		return nil, echo.NewHTTPError(http.StatusUnauthorized, "delivered before: each attempt has an id of its own")
	}
	ev, err := webhook.Parse(body)
	if err != nil {
		return nil, echo.NewHTTPError(http.StatusBadRequest, err.Error())
	}
	return ev, nil
}

// refusal is the reason for a refused request, by its status.
func refusal(err error) string {
	if known, ok := errors.AsType[*echo.HTTPError](err); ok {
		return http.StatusText(known.Code)
	}
	return "internal error"
}

// resolution is the key for a token, or why there is none.
type resolution struct {
	key      string
	made     bool   // while the caller waited
	reason   string // where it comes from
	err      error
	renewal  error  // why a key that dies before the token was not replaced
	answered func() // to be called once the answer is out
}

// resolve finds the user's key, and has one made where there is none that outlives the token.
func (s *Server) resolve(ctx context.Context, ev *webhook.Event, record *record) resolution {
	started := time.Now()
	account, err := s.Accounts.Lookup(ctx, ev.User)
	record.stage("lookup", started)
	if err != nil {
		return resolution{err: err, answered: func() {}}
	}
	wanted := request{user: ev.User, email: ev.Deciding.Email, until: ev.Deciding.ExpiresAt(), known: account}
	state := s.Provisioner.Rule.Judge(account, wanted.until, s.Now())
	if state.Usable() {
		record.reason = reasonFound
		return resolution{key: account.APIKey, answered: func() { s.Provisioner.Rotator.Tend(wanted.subject(), state) }}
	}
	switch {
	case account.Distrust() != nil:
		s.Provisioner.noteDistrust(account)
	case state == apikey.Planted:
		s.Provisioner.notePlanted(ctx, account)
	}
	looked := time.Now()
	found := s.Provisioner.Provision(ctx, wanted)
	record.reason = found.reason
	record.stage("provision", looked)
	stillLives := state == apikey.Short && account.KeyExpiresAt.After(s.Now()) // after all that waiting
	if found.err != nil && stillLives && statusOf(found.err) != statusConflict {
		// Coder can't be reached for a longer one. A key that works for now is better than none.
		record.reason = reasonShort
		record.line.AnErr("renewal", found.err)
		found.key, found.made, found.renewal, found.err = account.APIKey, false, found.err, nil
	}
	return found
}

// deliver sends the claims with the key, or with the reason why it is missing.
func (s *Server) deliver(c echo.Context, ev *webhook.Event, found resolution, record *record) error {
	if found.err != nil {
		status := statusOf(found.err)
		record.is(string(status), reasonNoKey)
		record.line.AnErr("error", found.err)
		return s.withoutKey(c, ev, status)
	}
	if body, fits := ev.Fitting(claims.KeyMember, found.key); fits {
		record.outcome = "injected"
		return answer(c, body)
	}
	record.is(outcomeTooLarge, reasonNoRoom)
	s.Log.Warn().Stringer("user_id", ev.User).Int("claims_bytes", len(ev.Claims)).Int("limit_bytes", webhook.MaxAnswer).
		Msg("the claims leave no room for the key in what Supabase Auth reads of an answer: make this user's metadata smaller")
	return s.withoutKey(c, ev, statusConflict)
}

func (s *Server) withoutKey(c echo.Context, ev *webhook.Event, why status) error {
	if s.RejectOnError {
		return answer(c, webhook.Rejection(apology(why)))
	}
	return answer(c, ev.With(claims.StatusMember, string(why)))
}
