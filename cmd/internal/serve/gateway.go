package serve

import (
	"context"
	"errors"
	"net/http"
	"time"

	"coderhook/hook/accesstoken"
	"coderhook/hook/gateway"
	"coderhook/hook/keyring"
	"coderhook/hook/proof"
	"coderhook/hook/provision"
	"coderhook/hook/rotation"
	"coderhook/store"

	"github.com/google/uuid"
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
		Auth:     gatewayCallers{accesstoken.Authenticator{Tokens: c.Tokens, Policy: c.Policy}},
		Keys:     gatewayKeys{s.ring},
		Sessions: gatewaySessions{s.database},
		Audit:    gatewayTrail{s.database},
		CORS:     gateway.CORS{Allows: c.CORS.Allows, Headers: c.CORS.Headers, Credentials: c.CORS.Credentials},
		Limits:   s.gatewayLimits(),
		Metrics:  s.registry,
		Log:      s.Log,
		Now:      time.Now,
	}
	if c.Gateway.Addr == "" {
		s.hook.Beside = s.gateway
	}
	return s.gateway.Start()
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
type gatewayCallers struct{ accesstoken.Authenticator }

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
	proof.Give(ctx)() // the connection is no stranger's
	return gateway.Caller{Session: gateway.Session{User: who.User}, Expires: who.Claims.ExpiresAt(), Token: who}, err
}

// gatewayKeys gives the gateway keys as a mint finds and makes them.
type gatewayKeys struct{ ring *keyring.Keyring }

// Key returns the caller's key, made now if need be.
func (k gatewayKeys) Key(ctx context.Context, who gateway.Caller) (string, error) {
	claims := who.Token.(accesstoken.Caller).Claims
	found := k.ring.Key(ctx, keyring.Wanted{User: who.User, Email: claims.Email, Until: who.Expires})
	found.Answered() // no sign-in waits for this answer
	switch {
	case found.Err == nil:
		return found.Key, nil
	case errors.Is(found.Err, provision.ErrLeft):
		return "", &gateway.Refusal{Code: http.StatusForbidden, Rule: "left", Message: "the user is gone or banned"}
	case provision.StatusOf(found.Err) == provision.StatusConflict:
		return "", &gateway.Refusal{Code: http.StatusConflict, Rule: "conflict", Message: "the development environment can't be set up: ask the operator, and name your user id: " + who.User.String()}
	case provision.StatusOf(found.Err) == provision.StatusPending:
		return "", gateway.ErrPending
	}
	return "", found.Err
}

// Doubt has a key checked that Coder has just refused, and returns what it should take.
func (k gatewayKeys) Doubt(ctx context.Context, who gateway.Caller, key string) (string, error) {
	k.ring.Rotator.Doubt(ctx, rotation.Subject{UserID: who.User, Email: who.Token.(accesstoken.Caller).Claims.Email}, key)
	return k.Key(ctx, who)
}

// gatewaySessions ends those of users who are gone or banned. Whether somebody has signed out no token tells.
type gatewaySessions struct{ database *store.Store }

// Ended returns the sessions of users who have no access any more.
func (e gatewaySessions) Ended(ctx context.Context, open []gateway.Session) (ended []gateway.Session, _ error) {
	ids := make([]uuid.UUID, len(open))
	for i, session := range open {
		ids[i] = session.User
	}
	users, err := e.database.AuthUsers(ctx, ids)
	if err != nil {
		return nil, err
	}
	living := make(map[uuid.UUID]bool, len(users))
	for _, user := range users {
		living[user.ID] = user.Living(time.Now())
	}
	for _, session := range open {
		if !living[session.User] {
			ended = append(ended, session)
		}
	}
	return ended, nil
}

// gatewayTrail notes refused routes in the audit trail.
type gatewayTrail struct{ database *store.Store }

// Refused notes one.
func (t gatewayTrail) Refused(ctx context.Context, e gateway.RefusedRoute) error {
	return t.database.Note(ctx, store.Event{Action: store.RouteRefused, UserID: e.User, Detail: e.Rule + ": " + e.Method + " " + e.Path})
}
