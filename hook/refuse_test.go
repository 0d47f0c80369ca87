package hook

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/provision"
	"coderhook/hook/webhook"
	"coderhook/store/storetest"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Whatever is not a well-formed event of somebody who knows a secret is refused
// with a clear text, and nothing is made.
func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	good := `{"user_id":"` + authtest.User1 + `","claims":{"sub":"` + authtest.User1 + `","email":"ada@example.com","exp":9999999999,"role":"authenticated","aal":"aal1"}}`
	if got := w.post(t, []byte(good), authtest.Sign(t, authtest.SecretA, "id", time.Now(), []byte(good))); got.status != http.StatusOK {
		t.Fatalf("the good one: %d %s", got.status, got.body)
	}
	w.coder.Reset()
	w.coder.ForgetRequests()
	w.db.Exec(t, `delete from coderhook.accounts`)

	now := time.Now()
	for name, test := range map[string]struct {
		body   string
		header func(body []byte) http.Header
		status int
		want   string
	}{
		"wrong secret":    {good, func(b []byte) http.Header { return authtest.Sign(t, authtest.SecretB, "id", now, b) }, 401, "no matching signature"},
		"missing headers": {good, func([]byte) http.Header { return http.Header{} }, 401, "missing required headers"},
		"stale": {good, func(b []byte) http.Header {
			return authtest.Sign(t, authtest.SecretA, "id", now.Add(-6*time.Minute), b)
		}, 401, "too old"},
		"future": {good, func(b []byte) http.Header { return authtest.Sign(t, authtest.SecretA, "id", now.Add(6*time.Minute), b) }, 401, "too new"},
		"garbage signature": {good, func(b []byte) http.Header {
			h := authtest.Sign(t, authtest.SecretA, "id", now, b)
			h.Set("Webhook-Signature", "v1,!!!!")
			return h
		}, 401, "no matching signature"},
		"changed body": {good, func([]byte) http.Header { return authtest.Sign(t, authtest.SecretA, "id", now, []byte("{}")) }, 401, "no matching signature"},
		"oversize":     {`"` + strings.Repeat("x", MaxBody) + `"`, nil, 413, "larger than 208 KiB"},
		"empty":        {``, nil, 400, "not the JSON object"},
		"no JSON":      {`hello`, nil, 400, "not the JSON object"},
		"cut off":      {good[:len(good)-1], nil, 400, "not the JSON object"},
		"trailing":     {good + `x`, nil, 400, "not the JSON object"},
		"array":        {`[]`, nil, 400, "not the JSON object"},
		"no claims":    {`{"user_id":"` + authtest.User1 + `"}`, nil, 400, "claims is not an object"},
		"claims array": {`{"user_id":"` + authtest.User1 + `","claims":[]}`, nil, 400, "claims is not an object"},
		"claims null":  {`{"user_id":"` + authtest.User1 + `","claims":null}`, nil, 400, "claims is not an object"},
		"claims text":  {`{"user_id":"` + authtest.User1 + `","claims":"x"}`, nil, 400, "claims is not an object"},
		"no user":      {strings.Replace(good, `"user_id"`, `"u"`, 1), nil, 400, "user_id is not a UUID"},
		"no uuid":      {strings.Replace(good, authtest.User1, "me", 1), nil, 400, "user_id is not a UUID"},
		"nil uuid":     {strings.ReplaceAll(good, authtest.User1, uuid.Nil.String()), nil, 400, "user_id is not a UUID"},
		"braced uuid":  {strings.ReplaceAll(good, authtest.User1, "{"+authtest.User1+"}"), nil, 400, "user_id is not a UUID"},
		"other sub":    {strings.Replace(good, authtest.User1, "0bf34ff0-2771-4ee8-a193-a4d4dbe31359", 1), nil, 400, "not the same user"},
		"later sub":    {strings.Replace(good, `"email"`, `"sub":"x","email"`, 1), nil, 400, "not the same user"},
		"no exp":       {strings.Replace(good, `"exp"`, `"ex"`, 1), nil, 400, "claims.exp"},
		"exp text":     {strings.Replace(good, `9999999999`, `"soon"`, 1), nil, 400, "wrong type"},
		"exp huge":     {strings.Replace(good, `9999999999`, `1e400`, 1), nil, 400, "wrong type"},
		"metadata":     {strings.Replace(good, `"email"`, `"app_metadata":[],"email"`, 1), nil, 400, "app_metadata is neither"},
		"metadata too": {strings.Replace(good, `"email"`, `"app_metadata":"x","email"`, 1), nil, 400, "app_metadata is neither"},
	} {
		header := test.header
		if header == nil {
			header = func(b []byte) http.Header { return authtest.Sign(t, authtest.SecretA, "id", now, b) }
		}
		got := w.post(t, []byte(test.body), header([]byte(test.body)))
		var answer webhook.ErrorBody
		if err := json.Unmarshal(got.body, &answer); err != nil || got.status != test.status ||
			answer.Error.Code != test.status || !strings.Contains(answer.Error.Message, test.want) {
			t.Errorf("%s: %d %s, want %d with %q", name, got.status, got.body, test.status, test.want)
		}
	}
	if rows := storetest.Query[int](t, w.db, `select count(*) from coderhook.accounts`); rows > 0 || len(w.coder.Requests()) > 0 {
		t.Errorf("something was made: %d ledger rows, %v", rows, w.coder.Requests())
	}
}

func TestOtherRoutes(t *testing.T) {
	t.Parallel()
	s := patient()
	s.coder.CallTimeout = 50 * time.Millisecond
	w := newWorld(t, s)
	for _, test := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/readyz", 200, `"database":"ok"`},
		{"GET", "/hooks/custom-access-token", 405, `{"error":{"http_code":405,"message":"Method Not Allowed"}}`},
		{"POST", "/", 404, `{"error":{"http_code":404,"message":"Not Found"}}`},
	} {
		status, body := w.do(t, test.method, test.path)
		if status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
		}
	}
	remove := w.coder.Fail(codertest.Fault{Hang: true})
	for range 10 { // a Coder that hangs must not use up the database's time
		if status, body := w.do(t, "GET", "/readyz"); status != 200 || !strings.Contains(body, `"coder":"degraded"`) {
			t.Fatalf("Coder hangs: %d %s", status, body)
		}
	}
	remove()
	w.coder.Close()
	if status, body := w.do(t, "GET", "/readyz"); status != 200 || !strings.Contains(body, `"coder":"degraded"`) {
		t.Errorf("without Coder sign-ins go on: %d %s", status, body)
	}
	w.store.Close()
	if status, body := w.do(t, "GET", "/readyz"); status != 503 || !strings.Contains(body, `"database":"down"`) {
		t.Errorf("without a database: %d %s", status, body)
	}
	w.Drain()
	if _, body := w.do(t, "GET", "/readyz"); !strings.Contains(body, `"server":"down"`) {
		t.Errorf("while draining: %s", body)
	}
}

// Only texts that were written for the caller go out.
func TestUnknownErrorsAreNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	w.Verifier = nil // makes the handler panic
	body := []byte(`{}`)
	got := w.post(t, body, authtest.Sign(t, authtest.SecretA, "id", time.Now(), body))
	if got.status != 500 || string(got.body) != `{"error":{"http_code":500,"message":"internal error"}}`+"\n" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := provision.StatusOf(errors.New("anything")); got != provision.StatusUnavailable {
		t.Errorf("got %s", got)
	}
}

// A sign-in whose claims leave no room for a key goes on without one.
func TestAnswerFitsSupabaseAuth(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	claims := claimsOf(user, "ada@example.com")
	claims["app_metadata"] = map[string]any{}
	claims["user_metadata"] = map[string]any{"big": ""}
	room := webhook.MaxAnswer - len(authtest.JSON(t, map[string]any{"claims": claims}))
	for filling, wantKey := range map[int]bool{room - 100: true, room - 10: false} {
		claims["user_metadata"] = map[string]any{"big": strings.Repeat("x", filling)}
		got := w.mintClaims(t, user, claims)
		if got.status != 200 || len(got.body) > webhook.MaxAnswer || (got.key(t) != "") != wantKey {
			t.Errorf("%d bytes of room: %d, %d bytes, key %.10s", room-filling, got.status, len(got.body), got.key(t))
		}
	}
	if n := testutil.ToFloat64(w.mints.mints.WithLabelValues("too_large", "no room")); n != 1 {
		t.Errorf("too_large was counted %v times", n)
	}
	if !strings.Contains(w.log.String(), `"level":"warn","user_id":"`+user.String()+`","claims_bytes":`) {
		t.Error("no warning in the log")
	}
}

// A key of old in the user's own metadata does not pass for want of room, and a product that refuses
// sign-ins without a key refuses this one.
func TestAnswerWithoutRoom(t *testing.T) {
	t.Parallel()
	s := patient()
	w := newWorld(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	claims := claimsOf(user, "ada@example.com")
	claims["user_metadata"] = map[string]any{"big": ""}
	for _, old := range []string{"", "old", "stale-key-of-old"} {
		claims["app_metadata"] = map[string]any{"api_key": old}
		claims["user_metadata"] = map[string]any{"big": ""}
		room := webhook.MaxAnswer - len(authtest.JSON(t, map[string]any{"claims": claims}))
		claims["user_metadata"] = map[string]any{"big": strings.Repeat("x", room)}
		got := w.mintClaims(t, user, claims)
		if got.status != 200 || len(got.body) > webhook.MaxAnswer || got.key(t) != "" {
			t.Errorf("%q: %d, %d bytes, key %q", old, got.status, len(got.body), got.key(t))
		}
	}
	s.server = func(server *Server) { server.RejectOnError = true }
	if got := w.start(t, s).mintClaims(t, user, claims); !strings.Contains(string(got.body), `"http_code":503`) {
		t.Errorf("not rejected: %.100s", got.body)
	}
}

// Where a request comes from, it may claim itself: nothing of it is believed or written down.
func TestForwardedAddressIsNotTrusted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	body := authtest.JSON(t, map[string]any{"user_id": user.String(), "claims": claimsOf(user, "ada@example.com")})
	header := authtest.Sign(t, authtest.SecretA, "id", time.Now(), body)
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Request-Id"} {
		header.Set(name, "203.0.113.7")
	}
	if got := w.post(t, body, header); got.key(t) == "" {
		t.Fatalf("got %s", got.body)
	}
	if strings.Contains(w.log.String(), "203.0.113.7") {
		t.Error("the log believes the header")
	}
}
