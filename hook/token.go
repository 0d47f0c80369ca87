package hook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"coderhook/hook/chain"
	"coderhook/hook/claims"
	"coderhook/hook/keyring"
	"coderhook/hook/policy"
	"coderhook/hook/proof"
	"coderhook/hook/provision"
	"coderhook/hook/webhook"

	"github.com/labstack/echo/v4"
)

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
	record.line.Str("user_id", strings.ToLower(ev.UserID)).Str("method", ev.Method).Str("call_id", ev.CallID).
		Str("webhook_id", c.Request().Header.Get("Webhook-Id"))
	if s.Chain != nil {
		if ev, err = s.chained(ctx, ev, &record); err != nil {
			return s.unchained(c, err, &record)
		}
	}
	s.lastIssuer(c, ev)
	if reason := s.skip(ev); reason != "" {
		return s.skipped(c, ev, reason, &record)
	}
	found := s.Keyring.Key(ctx, keyring.Wanted{
		User: ev.User, Email: ev.Deciding.Email, Until: ev.Deciding.ExpiresAt(), OutOfClaims: s.OutOfClaims, Claims: ev.Facts, SigningIn: ev.Method != refreshMethod,
	})
	defer found.Answered()
	record.keyring(found) // even after a panic: what waits for the answer must not wait for ever
	err = s.deliver(c, ev, found, &record)
	record.line.AnErr("undelivered", err)
	return err
}

// chained has the hook make its claims that ours has displaced.
func (s *Server) chained(ctx context.Context, ev *webhook.Event, record *record) (*webhook.Event, error) {
	started := time.Now()
	passed, err := chain.Pass(ctx, s.Chain, ev)
	record.line.Dur("chain_ms", time.Since(started))
	return passed, err
}

// unchained answers where that hook made no claims, as Supabase Auth would without us: it may be there to keep somebody
// out, so that its failure lets nobody in.
func (s *Server) unchained(c echo.Context, err error, record *record) error {
	if refused, ok := errors.AsType[*chain.Refusal](err); ok {
		record.is(outcomeRejected, reasonChain)
		return answer(c, refused.Answer)
	}
	record.is("failed", reasonChain)
	record.line.AnErr("error", err)
	return err
}

// skip gives the reason why there is no key in this token. What a chained hook returned can only be one more: that the
// session is one of a third-party client, or has no second factor, does not change by its word.
func (s *Server) skip(ev *webhook.Event) string {
	if s.Chain == nil {
		return s.Policy.Skip(ev.Deciding)
	}
	switch reason := s.Policy.Skip(ev.Asked); {
	case reason != "":
		return reason
	case !ev.SameUser():
		return policy.SkipSubject
	}
	return s.Policy.Skip(ev.Deciding)
}

// refreshMethod is that of the token of a session that is there already (supabase/auth, internal/models, TokenRefresh).
const refreshMethod = "token_refresh"

// skipped answers for a user who gets no key by policy.
func (s *Server) skipped(c echo.Context, ev *webhook.Event, reason string, record *record) error {
	record.is("skipped", reason)
	if reason == policy.SkipRole {
		record.line.Str("role", ev.Deciding.Role)
	}
	if policy.Tells(reason, ev.Asked) {
		return answer(c, ev.With(claims.StatusMember, string(provision.StatusNotEligible)))
	}
	return answer(c, webhook.Echo(ev.Claims))
}

// receive reads and verifies the request, and only then decodes it.
func (s *Server) receive(c echo.Context) (*webhook.Event, error) {
	body, unknown, err := s.intake.read(c.Response(), c.Request())
	defer unknown.end()
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

// deliver sends the claims with the key, or with the reason why it is missing. A token that is not to carry it says that it is ready.
func (s *Server) deliver(c echo.Context, ev *webhook.Event, found keyring.Result, record *record) error {
	if ineligible, ok := errors.AsType[*provision.IneligibleError](found.Err); ok {
		record.is("skipped", reasonRule)
		record.line.Bool("unsettled", ineligible.Unsettled)
		return answer(c, ev.With(claims.StatusMember, string(provision.StatusOf(found.Err)))) // also where no key is a fault: this is none
	}
	if found.Err != nil {
		status := provision.StatusOf(found.Err)
		record.is(string(status), reasonNoKey)
		record.line.AnErr("error", found.Err)
		return s.withoutKey(c, ev, status)
	}
	if found.OutOfClaims {
		record.outcome = string(provision.StatusReady)
		return answer(c, ev.With(claims.StatusMember, string(provision.StatusReady)))
	}
	if body, fits := ev.Fitting(claims.KeyMember, found.Key); fits {
		record.outcome = "injected"
		return answer(c, body)
	}
	record.is(outcomeTooLarge, reasonNoRoom)
	s.Log.Warn().Stringer("user_id", ev.User).Int("claims_bytes", len(ev.Claims)).Int("limit_bytes", webhook.MaxAnswer).
		Msg("the claims leave no room for the key in what Supabase Auth reads of an answer: make this user's metadata smaller")
	return s.withoutKey(c, ev, provision.StatusConflict)
}

func (s *Server) withoutKey(c echo.Context, ev *webhook.Event, why provision.Status) error {
	if s.RejectOnError {
		return answer(c, webhook.Rejection(apology(why)))
	}
	return answer(c, ev.With(claims.StatusMember, string(why)))
}
