// Package gateway lets a browser use Coder without ever holding a key: it takes requests with a Supabase session, finds
// the user's key, and passes on to Coder what a front end needs.
//
// # The way of a request
//
// [Gateway.ServeHTTP] goes from what is cheap to what is not:
//
//   - a browser that asks whether a page may call is answered (headers.go), and nobody new is let in while draining;
//   - the request line and an upgrade are read as they came (target.go); a WebSocket's Origin must be one that may call;
//   - the access token is found in the header or the subprotocol and verified by the [Authenticator];
//   - the user's limits (sessions.go), then the table of routes (routes.go, read by rules.go) say whether it goes through;
//   - the session is looked at, which may have ended before its token (sessions.go), and the user's key is found, or made (keys.go);
//   - proxy.go passes a request on by httputil.ReverseProxy, and socket.go a WebSocket frame by frame (frames.go).
//
// The bytes that were decided on are the bytes that are sent: a path that is not in its normal form is refused, never
// cleaned. What goes through of headers is listed in headers.go.
//
// # What else can happen
//
// Coder does not take the key: it is checked, renewed, and the request is sent once more if it can be (keys.go,
// proxy.go). A session ends: what is open of it ends within seconds (sessions.go). The server stops: [Gateway.Drain].
// Refusals are worded and answered in refusal.go, metrics.go counts, logs and traces.
//
// Why WebSockets are not taken apart: their frames go through as they are, so that compression, pings, sizes and close
// codes stay between browser and Coder, at no cost of ours. All that is read of them is where frames end, as a close
// frame can only be put in there.
package gateway

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"coderhook/hook/quota"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Authenticator says whose an access token is, and whether by policy its user may have a key. It returns a [*Refusal]
// for what to answer; any other error is one that passes.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Caller, error)
}

// Keys finds the Coder key of a caller. Key makes one where there is none, and Doubt is for one that Coder has just
// refused: it is checked now, and renewed where it is dead. Their errors are ErrPending, a [*Refusal] for what does
// not heal by itself, as a conflict, or any other for what passes.
type Keys interface {
	Key(ctx context.Context, who Caller) (string, error)
	Doubt(ctx context.Context, who Caller, key string) (string, error)
}

// Sessions says which of the open sessions are over: users who are gone, banned or signed out. With an error it returns
// those of which it is known.
type Sessions interface {
	Ended(ctx context.Context, open []Session) ([]Session, error)
}

// Auditor notes what was refused.
type Auditor interface {
	Refused(ctx context.Context, e RefusedRoute) error
}

// RefusedRoute is a request that a rule refused.
type RefusedRoute struct {
	User   uuid.UUID
	Rule   string
	Method string
	Path   string // "" where it is not in its normal form
}

// Session tells sessions apart.
type Session struct {
	User uuid.UUID
	ID   string // the token's session_id, "" where it has none
}

// Caller is who an access token stands for.
type Caller struct {
	Session
	Kind    string // callers of one user have the same key only if they are of one kind
	Expires time.Time
	Token   any // what Keys has to know of the token; it is not looked at here
}

// Gateway passes requests on. Fill in the fields and call Start.
type Gateway struct {
	Coder    string // required: Coder's base URL, may have a path
	Prefix   string // required: the path before Coder's own, like /coder
	Rules    Rules  // required
	Auth     Authenticator
	Keys     Keys
	Sessions Sessions // optional: without it sessions end with their token
	Audit    Auditor  // optional
	CORS     CORS
	Limits   quota.Limits // zero values mean the defaults
	Metrics  prometheus.Registerer
	Log      zerolog.Logger
	Now      func() time.Time

	Transport *http.Transport            // optional: the way to Coder; the gateway's own from then on
	Headers   http.Header                // optional: what a proxy in front of Coder wants; no browser sees it
	LoginPage func(*http.Response) error // optional: names the proxy that answers in Coder's place, as it wants a login

	KeyWait       time.Duration // for a key that has to be made; default 2.5 s
	WatchInterval time.Duration // between two looks at open sessions; default 2 s
	SlowClient    time.Duration // for a client that takes or sends nothing; default 30 s

	origin   string // of Coder, without a path
	basePath string
	base     *url.URL
	via      http.RoundTripper
	proxy    *httputil.ReverseProxy
	users    quota.Users
	keys     keyCache
	open     openSet
	seen     seenSessions
	counts   *counts
	draining atomic.Bool
}

// Start makes it ready. What it names as missing are faults of the program or the configuration.
func (g *Gateway) Start() error {
	base, err := url.Parse(g.Coder)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return errors.New("coder URL: want http://host or https://host")
	case !IsPrefix(g.Prefix):
		return errors.New("prefix: want a path like /coder, without a slash at the end")
	case g.Auth == nil || g.Keys == nil || g.CORS.Allows == nil || g.Metrics == nil || len(g.Rules) == 0 || g.Now == nil:
		return errors.New("gateway: Auth, Keys, CORS.Allows, Metrics, Rules and Now are required")
	}
	g.base, g.origin, g.basePath = base, base.Scheme+"://"+base.Host, strings.TrimRight(base.EscapedPath(), "/")
	g.KeyWait, g.WatchInterval = cmp.Or(g.KeyWait, 2500*time.Millisecond), cmp.Or(g.WatchInterval, 2*time.Second)
	g.SlowClient = cmp.Or(g.SlowClient, 30*time.Second)
	g.Limits = g.Limits.WithDefaults()
	g.counts = newCounts(g.Metrics)
	g.countOpen()
	if g.Transport == nil {
		g.Transport = new(http.Transport)
	}
	g.via = tuned(g.Transport)
	g.proxy = g.newProxy()
	for _, text := range g.Rules.Opens() {
		g.Log.Warn().Str("rule", text).Msg("GATEWAY_ROUTES_FILE")
	}
	return nil
}

// Register adds the gateway's routes.
func (g *Gateway) Register(e *echo.Echo) {
	e.Any(g.Prefix, echo.WrapHandler(g))
	e.Any(g.Prefix+"/*", echo.WrapHandler(g))
}

// ServeHTTP answers one request, whatever becomes of it.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		g.CORS.preflight(w, r)
		return
	}
	c := g.newCall(w, r)
	defer c.done()
	if no := c.pass(); no != nil {
		c.refused(no)
	}
}

// pass takes a call as far as it comes.
func (c *call) pass() *Refusal {
	if c.g.draining.Load() {
		c.w.Header().Set("Connection", "close")
		return later(http.StatusServiceUnavailable, "draining", time.Second, "the server is restarting: try again in a few seconds")
	}
	to, no := readTarget(c.r, c.g.Prefix)
	c.target = to
	if no != nil && no.Rule != notNormal.Class {
		return no
	}
	if origin := c.r.Header.Values("Origin"); to.method == webSocket && (len(origin) != 1 || !c.g.CORS.Allows(origin[0])) {
		return refusal(http.StatusForbidden, "origin", "a WebSocket may only be opened by a page of an origin in CORS_ORIGINS")
	}
	if err := c.authenticate(); err != nil {
		return c.g.explained("access token not verified", err)
	}
	leave, full := c.g.users.Enter(c.who.User, to.method == webSocket, c.g.Limits, c.g.Now())
	if full != nil {
		return refusalOfFull(full)
	}
	defer leave()
	if no == nil {
		no = c.decide()
	}
	if no != nil {
		c.g.audit(c, no)
		return no
	}
	if c.over() {
		return &Refusal{Code: http.StatusUnauthorized, Rule: "session", Message: "the session has ended: sign in again", Challenge: true}
	}
	if err := c.findKey(); err != nil {
		return c.g.explained("no key", err)
	}
	return c.carry()
}

// authenticate finds who calls.
func (c *call) authenticate() error {
	if c.target.method == webSocket {
		c.protocols = readProtocols(c.r.Header)
	}
	token, no := bearer(c.r, c.protocols)
	if no != nil {
		return no
	}
	who, err := c.g.Auth.Authenticate(c.r.Context(), token)
	c.who = who
	return err
}

// decide asks the table of routes.
func (c *call) decide() *Refusal {
	c.rule = c.g.Rules.decide(c.target.method, c.target.path)
	if !c.rule.Allow {
		return c.rule.refusal()
	}
	return nil
}

// carry passes the call on, and comes back when it is over.
func (c *call) carry() *Refusal {
	c.g.open.add(c)
	defer c.g.open.remove(c)
	if c.g.draining.Load() { // since it was let in
		return later(http.StatusServiceUnavailable, "draining", time.Second, "the server is restarting: try again in a few seconds")
	}
	if c.target.method == webSocket {
		return c.carrySocket()
	}
	return c.carryRequest()
}

// explained leaves in the log what is not for the caller.
func (g *Gateway) explained(what string, err error) *Refusal {
	no := refusalOf(err)
	if no.Code == http.StatusServiceUnavailable {
		g.Log.Warn().Err(err).Str("rule", no.Rule).Msg("gateway: " + what)
	}
	return no
}
