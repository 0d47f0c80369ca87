package serve

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/hook/accesstoken"
	"coderhook/hook/frontend"
	"coderhook/hook/gateway"
	"coderhook/hook/keyring"
	"coderhook/hook/proof"
	"coderhook/hook/rotation"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// makeGateway makes what passes browsers' requests on to Coder, if that is on.
func (s *server) makeGateway() error {
	c := s.Config
	if !c.Gateway.On {
		return nil
	}
	s.gateway = &gateway.Gateway{
		Coder:    c.Coder.URL,
		Prefix:   c.Gateway.Prefix,
		Rules:    c.Gateway.Rules,
		Auth:     gatewayCallers{s.authenticator(), s.ring},
		Keys:     gatewayKeys{s.ring},
		Sessions: &gatewaySessions{database: s.database, log: s.Log},
		Audit:    gatewayTrail{s.database},
		CORS:     gateway.CORS{Allows: c.CORS.Allows, Headers: c.CORS.Headers, Credentials: c.CORS.Credentials},
		Limits:   s.gatewayLimits(),
		Metrics:  s.registry,
		Log:      s.Log,
		Now:      time.Now,

		Transport: c.Coder.Way.Transport(), Headers: c.Coder.Way.Headers, LoginPage: loginPage,
	}
	if c.Gateway.Addr == "" {
		s.hook.Beside = s.gateway
	}
	return s.gateway.Start()
}

// loginPage names a proxy that wants a login and answers in Coder's place.
func loginPage(resp *http.Response) error {
	if err := coderclient.NotCoder(resp.StatusCode, resp.Header, resp.Request.URL); errors.Is(err, coderclient.ErrLogin) {
		return err
	}
	return nil
}

// watchGateway ends what is open of sessions that are over, until ctx ends.
func (s *server) watchGateway(ctx context.Context) {
	if s.gateway != nil {
		s.gateway.Run(ctx)
	}
}

// drainGateway lets nothing new in, and closes what would go on for ever.
func (s *server) drainGateway(ctx context.Context) error {
	if s.gateway == nil {
		return nil
	}
	return s.gateway.Drain(ctx)
}

// gatewayCallers lets in whom the front end's routes let in.
type gatewayCallers struct {
	accesstoken.Authenticator
	ring *keyring.Keyring
}

// Authenticate returns whose the token is.
func (a gatewayCallers) Authenticate(ctx context.Context, token string) (gateway.Caller, error) {
	who, err := a.Judge(ctx, token)
	if refusal, refused := errors.AsType[*accesstoken.Refusal](err); refused {
		rule := "token"
		if refusal.ByPolicy {
			rule = "policy"
		}
		return gateway.Caller{}, &gateway.Refusal{
			Code: refusal.Code, Rule: rule, Message: refusal.Message, RetryAfter: refusal.RetryAfter, Challenge: refusal.Challenge,
		}
	}
	if err != nil {
		return gateway.Caller{}, err
	}
	proof.Give(ctx)() // the connection is no stranger's
	kind, err := a.ring.Kind(ctx, who.User, []byte(who.Raw))
	return gateway.Caller{Session: sessionOf(who), Kind: kind, Expires: who.Claims.ExpiresAt(), Token: who}, err
}

// sessionOf names the session of a token. What is no uuid is none of Supabase Auth's.
func sessionOf(who accesstoken.Caller) gateway.Session {
	session := gateway.Session{User: who.User}
	if id, err := uuid.Parse(string(who.Claims.SessionID)); err == nil && id != uuid.Nil {
		session.ID = id.String()
	}
	return session
}

// gatewayKeys gives the gateway keys as a mint finds and makes them.
type gatewayKeys struct{ ring *keyring.Keyring }

// Key returns the caller's key, made now if need be.
func (k gatewayKeys) Key(ctx context.Context, who gateway.Caller) (string, error) {
	token := who.Token.(accesstoken.Caller)
	found := k.ring.Key(ctx, keyring.Wanted{
		User: who.User, Email: token.Claims.Email, Until: who.Expires, Claims: []byte(token.Raw), OutOfClaims: k.ring.Provisioner.OutOfClaims,
	})
	found.Answered() // no sign-in waits for this answer
	switch {
	case found.Err == nil && found.Set != who.Kind: // what rules look at has changed just now
		return "", gateway.ErrPending
	case found.Err == nil:
		return found.Key, nil
	}
	why := hook.WhyNoKey(found.Err)
	if why == frontend.Pending {
		return "", gateway.ErrPending
	}
	if no := why.Refusal(who.User); no != nil {
		return "", &gateway.Refusal{Code: no.Code, Rule: noKeyRules[why], Message: no.Message, RetryAfter: no.RetryAfter}
	}
	return "", found.Err
}

// noKeyRules name in metrics why there is no key.
var noKeyRules = map[frontend.Why]string{
	frontend.Left: "left", frontend.Stopping: "draining", frontend.Ineligible: "policy",
	frontend.Suspended: "conflict", frontend.Foreign: "conflict", frontend.Conflict: "conflict",
}

// Doubt has a key checked that Coder has just refused, and returns what it should take.
func (k gatewayKeys) Doubt(ctx context.Context, who gateway.Caller, key string) (string, error) {
	k.ring.Rotator.Doubt(ctx, rotation.Subject{UserID: who.User, Email: who.Token.(accesstoken.Caller).Claims.Email}, key)
	return k.Key(ctx, who)
}

// gatewaySessions ends those of users who are gone or banned, and those that are signed out.
type gatewaySessions struct {
	database *store.Store
	log      zerolog.Logger
	untold   sync.Once
}

// Ended returns the sessions that give no access any more.
func (e *gatewaySessions) Ended(ctx context.Context, open []gateway.Session) (ended []gateway.Session, _ error) {
	gone, err := e.gone(ctx, open)
	if err != nil {
		return nil, err
	}
	signedOut, err := e.signedOut(ctx, open)
	if errors.Is(err, store.ErrNoSessions) {
		e.untold.Do(func() {
			e.log.Warn().Err(err).Msg("gateway: who signs out keeps what is open until the token ends; coderhook migrate has to be run by a role that may read auth.sessions")
		})
		err = nil
	}
	for _, session := range open {
		if gone[session.User] || signedOut[session.ID] {
			ended = append(ended, session)
		}
	}
	return ended, err
}

// gone are the users who have no access any more.
func (e *gatewaySessions) gone(ctx context.Context, open []gateway.Session) (map[uuid.UUID]bool, error) {
	ids := make([]uuid.UUID, len(open))
	gone := make(map[uuid.UUID]bool, len(open))
	for i, session := range open {
		ids[i], gone[session.User] = session.User, true
	}
	users, err := e.database.AuthUsers(ctx, ids)
	for _, user := range users {
		gone[user.ID] = !user.Living(time.Now())
	}
	return gone, err
}

// signedOut are the ids of sessions that the database does not have, or no longer.
func (e *gatewaySessions) signedOut(ctx context.Context, open []gateway.Session) (map[string]bool, error) {
	var ids []uuid.UUID
	out := make(map[string]bool, len(open))
	for _, session := range open {
		if id, err := uuid.Parse(session.ID); err == nil {
			ids, out[session.ID] = append(ids, id), true
		}
	}
	if len(ids) == 0 {
		return out, nil
	}
	living, err := e.database.LivingSessions(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, id := range living {
		out[id.String()] = false
	}
	return out, nil
}

// gatewayTrail notes refused routes in the audit trail.
type gatewayTrail struct{ database *store.Store }

// Refused notes one.
func (t gatewayTrail) Refused(ctx context.Context, e gateway.RefusedRoute) error {
	return t.database.Note(ctx, store.Event{Action: store.RouteRefused, UserID: e.User, Detail: e.Rule + ": " + e.Method + " " + e.Path})
}
