package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"coderhook/cmd/internal/sender"
	"coderhook/hook/policy"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// checkGateway calls the running gateway as pages do. None of the calls finds, makes or writes down anything: all are
// refused, each by another rule, so that what answers, and what comes through on the way there, can be told.
func (d *Doctor) checkGateway(ctx context.Context) {
	switch {
	case !d.config.Gateway.On && d.Gateway != "":
		d.fail("gateway", cure{do: "set GATEWAY=on, also for the doctor"}, "GATEWAY is off")
		return
	case !d.config.Gateway.On:
		return
	case d.gatewayURL() == "":
		d.ok("gateway", "not called; give --gateway")
		return
	}
	g := gatewayCheck{d, strings.TrimRight(d.gatewayURL(), "/")}
	if g.isCallable() && g.answers(ctx) {
		g.checkRule(ctx)
		g.checkTokens(ctx)
		g.checkPages(ctx)
		g.checkSockets(ctx)
	}
}

// gatewayURL is where pages call it. Where it is at the hook's port, --url tells.
func (d *Doctor) gatewayURL() string {
	u, err := url.Parse(d.URL)
	if d.Gateway != "" || err != nil || u.Host == "" || d.config.Gateway.Addr != "" || d.config.FrontEnd != "" {
		return d.Gateway
	}
	return u.Scheme + "://" + u.Host + d.config.Gateway.Prefix
}

// gatewayCheck is the doctor at one gateway's address.
type gatewayCheck struct {
	*Doctor
	url string
}

var gatewayAddress = cure{do: "give --gateway as pages have it, like https://YOUR-HOST/coder: the address of GATEWAY_ADDR (else of FRONTEND_ADDR, else of LISTEN_ADDR) with GATEWAY_PREFIX behind it; and see that the running server has GATEWAY=on"}

func (g gatewayCheck) isCallable() bool {
	const check = "gateway's address"
	u, err := url.Parse(g.url)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		g.fail(check, gatewayAddress, "is not a URL with https:// and a host (skipped because of this: the running gateway)")
		return false
	case u.Scheme == "http" && !isLocal(u.Hostname()):
		g.warn(check, cure{do: "use https://"}, "browsers let no page of an https:// address call http://, and access tokens go over the net as they are")
	}
	return true
}

// answers makes a call without a token. What comes back shows who answers there.
func (g gatewayCheck) answers(ctx context.Context) bool {
	const check, skipped = "gateway, call without a token", " (skipped because of this: the other calls to the gateway)"
	got, err := g.call(ctx, http.MethodGet, "/api/v2/users/me", nil)
	switch {
	case err != nil:
		g.fail(check, gatewayAddress, "%v%s", err, skipped)
	case got.Header.Get("X-Coder-Build-Version") != "":
		g.fail(check, cure{do: "let this address lead to coderhook, not to Coder: pages would have no key there"}, "Coder itself answers at this address, with status %d%s", got.Status, skipped)
	case got.Status != http.StatusUnauthorized || !isOurs(got):
		g.fail(check, gatewayAddress, "answered with status %d instead of the gateway's 401: %s%s", got.Status, got.Text(), skipped)
	default:
		g.ok(check, "refused")
		return true
	}
	return false
}

// isOurs reports whether an answer has the shape of this server's refusals.
func isOurs(a sender.Answer) bool {
	var body struct {
		Error struct {
			Code    int `json:"http_code"`
			Message string
		}
	}
	return json.Unmarshal(a.Body, &body) == nil && body.Error.Code == a.Status && body.Error.Message != ""
}

// checkRule sees that the gateway's rules decide. This one needs no token.
func (g gatewayCheck) checkRule(ctx context.Context) {
	got, err := g.call(ctx, http.MethodGet, "/api/v2/users/me?coder_session_token=none", nil)
	g.judge("gateway, key in the address", got, err, http.StatusBadRequest, "stands in the URL", cure{do: "see what answers at this address, and whether something in between changes the query"})
}

// checkTokens sees that the gateway verifies tokens with the secret of here. An anonymous user's are good, and refused.
func (g gatewayCheck) checkTokens(ctx context.Context) {
	secret := g.config.Supabase.JWTSecret
	if secret == "" {
		return // nobody but Supabase Auth can sign
	}
	got, err := g.call(ctx, http.MethodGet, "/api/v2/users/me", bearer(g.anonymousToken([]byte(secret))))
	g.judge("gateway, signed token", got, err, http.StatusForbidden, policy.SkipAnonymous, cure{do: "restart the running server with the SUPABASE_JWT_SECRET and SUPABASE_JWT_ISSUER of here, or set them here to those of there; see that both clocks are right, and that nothing in between takes away Authorization"})
	stranger := make([]byte, 32)
	_, _ = rand.Read(stranger) // never fails
	got, err = g.call(ctx, http.MethodGet, "/api/v2/users/me", bearer(g.anonymousToken(stranger)))
	g.judge("gateway, token with a wrong signature", got, err, http.StatusUnauthorized, "", cure{do: "see what answers at this address: coderhook refuses such a token with 401"})
}

// anonymousToken is one of an anonymous user who does not exist, as Supabase Auth makes them.
func (g gatewayCheck) anonymousToken(secret []byte) string {
	now := g.Now()
	claims := jwt.MapClaims{
		"sub": uuid.NewString(), "aud": "authenticated", "role": "authenticated", "email": "", "aal": "aal1", "is_anonymous": true,
		"session_id": uuid.NewString(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	if issuers := g.config.Tokens.Issuers; !issuers.Any() {
		claims["iss"] = issuers[0]
	}
	token, _ := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret) // strings and numbers can be encoded
	return token
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// checkPages asks what a browser asks before a page of another origin may call.
func (g gatewayCheck) checkPages(ctx context.Context) {
	const check = "gateway, pages"
	for _, origin := range g.config.CORS.Origins {
		origin = exampleOf(origin)
		got, err := g.call(ctx, http.MethodOptions, "/api/v2/users/me", http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {http.MethodPut}, "Access-Control-Request-Headers": {"authorization,content-type"},
		})
		allowed := strings.ToLower(got.Header.Get("Access-Control-Allow-Headers"))
		switch {
		case err != nil:
			g.fail(check, gatewayAddress, "%s: %v", origin, err)
		case got.Header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(allowed, "authorization"):
			g.fail(check, cure{do: "restart the running server with the CORS_ORIGINS of here, and let nothing in between answer OPTIONS or change headers named Access-Control-…"},
				"a page of %s may not call: the answer to its browser, with status %d, allows the origin %q and the headers %q", origin, got.Status, got.Header.Get("Access-Control-Allow-Origin"), allowed)
		default:
			g.ok(check, "%s may call", origin)
		}
	}
}

// stranger is a page that nobody has.
const stranger = "https://doctor.invalid"

// exampleOf is a page that an entry of CORS_ORIGINS stands for.
func exampleOf(origin string) string {
	if origin == "*" {
		return stranger
	}
	return strings.Replace(origin, "*", "doctor", 1)
}

// checkSockets opens WebSockets that are refused for what only comes there where all that a WebSocket needs does.
func (g gatewayCheck) checkSockets(ctx context.Context) {
	through := cure{do: "let what is in between pass on Upgrade, Connection, Origin and Sec-WebSocket-Protocol, over HTTP/1.1: for nginx see testdata/ops/nginx.conf"}
	if origins := g.config.CORS.Origins; len(origins) > 0 {
		got, err := g.dial(ctx, exampleOf(origins[0]))
		g.judge("gateway, WebSocket", got, err, http.StatusBadRequest, "offer the subprotocol", through)
		if !slices.Contains(origins, "*") {
			got, err = g.dial(ctx, stranger)
			g.judge("gateway, WebSocket of a foreign page", got, err, http.StatusForbidden, "CORS_ORIGINS", through)
		}
	}
}

// dial opens one as a page does that forgot to offer the gateway's own subprotocol beside the one with its token.
func (g gatewayCheck) dial(ctx context.Context, origin string) (sender.Answer, error) {
	key := make([]byte, 16)
	_, _ = rand.Read(key) // never fails
	return g.call(ctx, http.MethodGet, "/api/v2/notifications/inbox/watch", http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Origin": {origin}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":      {base64.StdEncoding.EncodeToString(key)},
		"Sec-Websocket-Protocol": {"base64url.bearer.authorization.coderhook.bm9uZQ"},
	})
}

// judge expects a refusal of the gateway's, in these words.
func (g gatewayCheck) judge(check string, got sender.Answer, err error, status int, words string, do cure) {
	switch {
	case err != nil:
		g.fail(check, do, "%v", err)
	case got.Status != status || !isOurs(got) || !strings.Contains(got.Text(), words):
		g.fail(check, do, "answered with status %d instead of %d: %s", got.Status, status, got.Text())
	default:
		g.ok(check, "comes through, and is refused as it should be")
	}
}

// call makes one over HTTP/1.1, as WebSockets are opened, and follows no redirect, as it would lose the headers.
func (g gatewayCheck) call(ctx context.Context, method, path string, header http.Header) (sender.Answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, g.url+path, nil)
	if err != nil {
		return sender.Answer{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	client := sender.NewClient()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if transport, ok := client.Transport.(*http.Transport); ok {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP1(true)
	}
	response, err := client.Do(request)
	if err != nil {
		return sender.Answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	if response.StatusCode == http.StatusSwitchingProtocols {
		return sender.Answer{}, fmt.Errorf("opens a WebSocket to %s", cmp.Or(response.Header.Get("Server"), "nobody who may have one"))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	return sender.Answer{Status: response.StatusCode, Body: body, Header: response.Header}, err
}
