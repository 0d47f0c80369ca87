package hook

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"coderhook/hook/claims"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/policy"
	"coderhook/hook/provision"
	"coderhook/hook/rules"
	"coderhook/hook/webhook"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// storedKey answers every look-up with the same good key, without a database.
type storedKey struct{ now time.Time }

func (s storedKey) Lookup(_ context.Context, user uuid.UUID) (store.Account, error) {
	return store.Account{
		UserID: user, HasProfile: true, APIKey: "AbCdEfGhIj-0123456789012345678901", Known: true, Status: store.Active,
		KeyID: "AbCdEfGhIj", KeyExpiresAt: s.now.Add(6 * 24 * time.Hour), KeyLifetime: 7 * 24 * time.Hour,
		KeyCheckedAt: s.now, TokenLife: 24 * time.Hour,
	}, nil
}

func (s storedKey) LookupFacts(ctx context.Context, user uuid.UUID, _ bool) (store.Account, store.UserFacts, error) {
	account, err := s.Lookup(ctx, user)
	return account, store.UserFacts{UserID: user, Exists: true, ConfirmedEmail: "ada@example.com", Profile: []byte(`{"plan":"pro"}`)}, err
}

func (s storedKey) LookupSets(ctx context.Context, user uuid.UUID) (store.Account, error) {
	return s.Lookup(ctx, user)
}

func (s storedKey) LookupFactsSets(ctx context.Context, user uuid.UUID, auth bool) (store.Account, store.UserFacts, error) {
	return s.LookupFacts(ctx, user, auth)
}

// BenchmarkHandler is a mint with a key that is there, without SQL and network. What it counts is the server's alone:
// request and answer are used again.
func BenchmarkHandler(b *testing.B) { benchmarkHandler(b, "") }

// BenchmarkHandlerWithRules is the same with ten rules, of which the last holds.
func BenchmarkHandlerWithRules(b *testing.B) { benchmarkHandler(b, tenRules()) }

func tenRules() string {
	conditions := []string{
		`user.domain in ["example.org", "example.net"] && user.confirmed`, `claims.app_metadata.plan == "free"`, `claims.aal == "aal3"`,
		`has(claims.app_metadata.trial) && claims.app_metadata.trial`, `user.provider == "github"`, `"saml" in user.providers`,
		`profile.plan == "blocked"`, `user.created < timestamp("2001-01-01T00:00:00Z")`, `claims.amr.exists(m, m.method == "sso/saml")`, `true`,
	}
	text := "rules:\n"
	for i, when := range conditions {
		text += fmt.Sprintf("- {name: r%d, when: '%s', give: {}}\n", i, when)
	}
	return text
}

func benchmarkHandler(b *testing.B, file string) {
	b.Helper()
	mint := mintAgain(b, file)
	b.SetBytes(int64(len(sampleEvent(b))))
	b.ReportAllocs()
	for b.Loop() {
		mint()
	}
}

// What a mint allocates is counted, as its time can't be where others are at work: 17 are of the library that verifies.
func TestMintAllocatesLittle(t *testing.T) { //nolint:paralleltest // what others allocate would be counted
	if info, ok := debug.ReadBuildInfo(); !ok || slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector has pools forget what they hold")
	}
	for file, most := range map[string]float64{"": 35, tenRules(): 75} {
		mint := mintAgain(t, file)
		least := testing.AllocsPerRun(1000, mint)
		for range 4 { // what goes on beside it is counted, too
			least = min(least, testing.AllocsPerRun(1000, mint))
		}
		if least > most {
			t.Errorf("%.0f allocations, with the rules %q; it should be %.0f at most", least, file, most)
		}
	}
}

// mintAgain returns what a benchmark does again and again.
func mintAgain(tb testing.TB, file string) func() {
	tb.Helper()
	const secret = "v1,whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	body, now := sampleEvent(tb), time.Unix(1795417649, 0)
	clock := func() time.Time { return now }
	header, err := webhook.Sign(secret, "2d414b68-d758-4b91-9ce8-60c4c876ef86", now, body)
	if err != nil {
		tb.Fatal(err)
	}
	verifier, err := webhook.NewVerifier(secret, clock)
	if err != nil {
		tb.Fatal(err)
	}
	o := provision.DefaultOptions()
	o.Now = clock
	registry := metrics.New()
	ring := keyring.New(o, nil, nil, registry, zerolog.Nop())
	ring.Accounts = storedKey{now}
	if file != "" {
		first, err := rules.Parse([]byte(file), []string{"plan"})
		if err != nil {
			tb.Fatal(err)
		}
		ring.Rules = rules.NewLive(rules.Source{}, first, registry, zerolog.Nop())
	}
	s := &Server{
		Verifier: verifier, Policy: policy.Policy{RequireAAL: "aal1"}, Keyring: ring, Registry: registry,
		Deadline: 2500 * time.Millisecond, Now: clock, Log: zerolog.New(io.Discard),
	}
	handler, content := s.Handler(), bytes.NewReader(body)
	request := httptest.NewRequest(http.MethodPost, "/hooks/custom-access-token", io.NopCloser(content))
	request.Header = header
	w := &reusedWriter{header: make(http.Header)}
	return func() {
		content.Reset(body)
		w.forget()
		if handler.ServeHTTP(w, request); w.status != http.StatusOK || !bytes.Contains(w.body, []byte(`"api_key":"AbCdEfGhIj-`)) {
			tb.Fatal(w.status, string(w.body))
		}
	}
}

// sampleEvent is what the bench of the whole server posts, 1.3 KiB.
func sampleEvent(tb testing.TB) []byte {
	tb.Helper()
	body, err := os.ReadFile("../testdata/bench/event.json")
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// reusedWriter is a ResponseWriter for one answer after the other.
type reusedWriter struct {
	header http.Header
	status int
	body   []byte
}

func (w *reusedWriter) forget() {
	clear(w.header)
	w.status, w.body = 0, w.body[:0]
}

func (w *reusedWriter) Header() http.Header    { return w.header }
func (w *reusedWriter) WriteHeader(status int) { w.status = status }
func (w *reusedWriter) Flush()                 {}

func (w *reusedWriter) Write(part []byte) (int, error) {
	w.body = append(w.body, part...)
	return len(part), nil
}

func BenchmarkSplice(b *testing.B) {
	ev, err := webhook.Parse(sampleEvent(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := claims.FindSlot(ev.Claims); err != nil {
			b.Fatal(err)
		}
	}
}
