package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/frontend"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/policy"
	"coderhook/hook/provision"
	"coderhook/hook/webhook"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// world is a database, a Coder, and servers between them and Supabase Auth, which the test plays.
type world struct {
	db    *storetest.DB
	store *store.Store
	coder *codertest.Server
	log   *logBuffer
	*replica
}

// replica is one server.
type replica struct {
	*Server
	url     string
	client  *coderclient.Client
	ledger  keyring.Ledger // what the ring asks: the store, or what a test puts before it
	toCoder keyring.Coder  // likewise
	serving atomic.Int64   // requests whose handlers have not returned
}

// settings are what a test may have otherwise than a real deployment.
type settings struct {
	profile codertest.Profile
	options provision.Options
	coder   coderclient.Config
	server  func(*Server)
	clock   *authtest.Clock // nil: the real one
	secrets []string        // of the ledger's seals
	columns []string        // that rules look at
	keys    []string        // with which keys are encrypted
	refuse  bool            // plain ones
}

func patient() settings {
	o := provision.DefaultOptions()
	o.Poll = 5 * time.Millisecond
	o.RetryConflict = 0
	o.ConfirmAfter = 5 * time.Millisecond
	return settings{profile: codertest.ProfileV231, options: o, coder: coderclient.Config{CallTimeout: time.Minute}}
}

// newWorld starts it all. When the test has ended, no secret may stand in the log, and nothing may
// go on or be connected.
func newWorld(t *testing.T, s settings) *world {
	t.Helper()
	w := &world{db: storetest.New(t), log: new(logBuffer)}
	mark := marking() // after PostgreSQL is started, for all tests
	w.coder = codertest.Start(s.profile, codertest.Clock(s.clock.Now))
	t.Cleanup(func() { w.checkLog(t) })
	t.Cleanup(func() { checkLeaks(t, w.coder, mark) })
	w.replica = w.start(t, s)
	return w
}

// start adds a replica with a connection pool of its own.
func (w *world) start(t *testing.T, s settings) *replica {
	t.Helper()
	s.coder.URL = w.coder.URL
	s.coder.Token = func() string { return w.coder.OwnerToken }
	s.coder.HTTPClient = ownConnections(t)
	client, err := coderclient.New(s.coder)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := webhook.NewVerifier(authtest.SecretA, s.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	w.store = storetest.Open(t, store.Config{
		URL: w.db.RoleURL("coderhook"), LedgerSecrets: s.secrets, PolicyColumns: s.columns, EncryptionKeys: s.keys, RefusePlainKeys: s.refuse,
	})
	log := zerolog.New(w.log).Level(zerolog.DebugLevel)
	s.options.Instance, s.options.Now = uuid.NewString(), s.clock.Now
	registry := metrics.New()
	ring := keyring.New(s.options, w.store, client, registry, log)
	r := &replica{client: client, ledger: w.store, toCoder: client, Server: &Server{
		Verifier: verifier, Policy: policy.Policy{RequireAAL: "aal1"}, Keyring: ring, Registry: registry,
		OutOfClaims: s.options.OutOfClaims,
		Deadline:    time.Minute, Now: s.clock.Now, Log: log, FrontEnd: &frontend.Routes{Accounts: w.store, Apps: client, Log: log},
		Checks: map[string]Check{"database": {Required: true, Run: w.store.Ping}, "coder": {Run: client.Probe}},
	}}
	if s.server != nil {
		s.server(r.Server)
	}
	r.FrontEnd.Keys, r.FrontEnd.Callers.Policy = FrontEndKeys{r.Keyring}, r.Policy
	r.FrontEnd.Deadline, r.FrontEnd.Now = r.Deadline, r.Now
	server := httptest.NewServer(r.counted(r.Handler()))
	r.url = server.URL
	t.Cleanup(func() {
		server.Close()
		w.coder.EndHanging()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := ring.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// checkLog finds the secrets that nothing may ever log.
func (w *world) checkLog(t *testing.T) {
	t.Helper()
	log := w.log.String()
	if t.Failed() {
		t.Logf("log:\n%s", log)
	}
	secrets := []string{w.coder.OwnerToken, strings.TrimPrefix(authtest.SecretA, "v1,whsec_")}
	for _, user := range w.coder.Users() {
		for _, key := range w.coder.TokensOf(user.Username) {
			_, secret, _ := strings.Cut(key.Whole, "-")
			secrets = append(secrets, secret)
		}
	}
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("a secret stands in the log: %s…", secret[:4])
		}
	}
}

// claimsOf are the claims of a password sign-in that is happening now.
func claimsOf(user uuid.UUID, email string) map[string]any { return claimsAt(time.Now(), user, email) }

func claimsAt(at time.Time, user uuid.UUID, email string) map[string]any {
	now := at.Unix()
	return map[string]any{
		"iss": "http://127.0.0.1:54321/auth/v1", "sub": user.String(), "aud": "authenticated",
		"exp": now + 3600, "iat": now, "email": email, "phone": "",
		"app_metadata":  map[string]any{"provider": "email", "api_key": "stale-key-of-old"},
		"user_metadata": map[string]any{}, "role": "authenticated", "aal": "aal1",
		"session_id": uuid.NewString(), "is_anonymous": false,
	}
}

// reply is what Supabase Auth gets.
type reply struct {
	status int
	body   []byte
	header http.Header
}

func (r reply) metadata(t testing.TB) map[string]any {
	t.Helper()
	var answer struct {
		Claims struct {
			Metadata map[string]any `json:"app_metadata"`
		} `json:"claims"`
	}
	if err := json.Unmarshal(r.body, &answer); err != nil {
		t.Fatalf("status %d, %s: %v", r.status, r.body, err)
	}
	return answer.Claims.Metadata
}

// key is the key in the claims, or "".
func (r reply) key(t testing.TB) string {
	t.Helper()
	key, _ := r.metadata(t)["api_key"].(string)
	return key
}

// keyStatus is why there is no key, or "".
func (r reply) keyStatus(t testing.TB) string {
	t.Helper()
	status, _ := r.metadata(t)["api_key_status"].(string)
	return status
}

func (r *replica) eventOf(t testing.TB, user uuid.UUID, email string) []byte {
	t.Helper()
	return eventWith(t, user, claimsAt(r.Now(), user, email))
}

func eventWith(t testing.TB, user uuid.UUID, claims map[string]any) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"user_id": user.String(), "claims": claims, "authentication_method": "password"})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// mint asks for a token as Supabase Auth does.
func (r *replica) mint(t testing.TB, user uuid.UUID, email string) reply {
	t.Helper()
	return r.mintClaims(t, user, claimsAt(r.Now(), user, email))
}

func (r *replica) mintClaims(t testing.TB, user uuid.UUID, claims map[string]any) reply {
	t.Helper()
	body := eventWith(t, user, claims)
	return r.post(t, body, authtest.Sign(t, authtest.SecretA, uuid.NewString(), r.Now(), body))
}

func (r *replica) post(t testing.TB, body []byte, header http.Header) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/hooks/custom-access-token", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, answer, response.Header}
}

// patience is how long a test waits for what has to come; only one that fails waits for so long.
const patience = 2 * time.Minute

// eventually polls until the condition holds; a test must not sleep and hope.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stored is the key in the profile, or "".
func (w *world) stored(t testing.TB, user uuid.UUID) string {
	t.Helper()
	keys := storetest.QueryAll[string](t, w.db, `select coalesce(api_key, '') from public.profiles where id = $1`, user)
	return strings.Join(keys, "+")
}

// wantOneUser checks that Coder has one user, with so many tokens of ours, and returns it.
func (w *world) wantOneUser(t testing.TB, tokens int) codertest.User {
	t.Helper()
	users := w.coder.Users()
	if len(users) != 1 {
		t.Fatalf("Coder has %d users, want one: %+v", len(users), users)
	}
	if got := w.coder.TokensOf(users[0].Username); len(got) != tokens {
		t.Fatalf("Coder has %d tokens, want %d", len(got), tokens)
	}
	return users[0]
}

// wantWorkingKey checks that Coder takes the key for the user with this e-mail.
func (w *world) wantWorkingKey(t testing.TB, key, email string) {
	t.Helper()
	me, err := w.client.Me(t.Context(), key)
	if err != nil || me.Email != email {
		t.Errorf("key %q: user %q, error %v; want one that works for %s", coderclient.KeyID(key), me.Email, err, email)
	}
}

// do makes a request without a body.
func (r *replica) do(t testing.TB, method, path string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// status is what the ledger says, or "".
func (w *world) status(t testing.TB, user uuid.UUID) store.Status {
	t.Helper()
	return w.account(t, user).Status
}

func (w *world) leased(t testing.TB, user uuid.UUID) bool {
	t.Helper()
	return w.account(t, user).Leased
}

func (w *world) account(t testing.TB, user uuid.UUID) store.Account {
	t.Helper()
	account, err := w.store.Lookup(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// useLedger puts another ledger before the database.
func (r *replica) useLedger(ledger keyring.Ledger) {
	r.ledger = ledger
	p, k := r.Keyring.Provisioner, r.Keyring.Rotator
	p.Ledger, p.Accounts.Ledger, p.Keys.Ledger, k.Ledger, k.Lookups = ledger, ledger, ledger, ledger, ledger
	r.Keyring.Accounts, r.Keyring.Givings = ledger, ledger
}

// useCoder puts another client before Coder.
func (r *replica) useCoder(coder keyring.Coder) {
	r.toCoder = coder
	p, k := r.Keyring.Provisioner, r.Keyring.Rotator
	p.Coder, p.Accounts.Coder, p.Accounts.Roles.Coder, p.Keys.Coder, k.Coder = coder, coder, coder, coder, coder
}
