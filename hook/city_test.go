package hook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/apikey"
	"coderhook/hook/authtest"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/owner"
	"coderhook/hook/policy"
	"coderhook/hook/reconcile"
	"coderhook/hook/rules"
	"coderhook/hook/webhook"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// city is a product with many users over a long time: one server after another, as each crashes,
// before a real database and the fake Coder. All time but that of leases is the clock's.
type city struct {
	tb     testing.TB
	db     *storetest.DB
	store  *store.Store
	coder  *codertest.Server
	clock  *authtest.Clock
	log    *logBuffer
	users  []*citizen
	down   func()        // ends the outage; nil while Coder is up
	out    bool          // tokens carry no keys
	rules  *rules.Policy // nil: there are none
	keeper *owner.Keeper

	life       *life
	server     *Server
	handler    http.Handler
	client     *coderclient.Client
	reconciler *reconcile.Reconciler

	mints, crashes, repeated, without, fallbacks, outages int
}

// citizen is a user, and what their access tokens carry.
type citizen struct {
	id      uuid.UUID
	email   string
	name    string // in Coder, once it is known
	aal     string // of the session; "": aal1
	carried []carried
	seen    map[string]bool // ids of all keys that were in a token
}

type carried struct {
	keyID string
	until time.Time
}

func newCity(t *testing.T) *city {
	t.Helper()
	c := &city{tb: t, db: storetest.New(t), clock: authtest.NewClock(), log: new(logBuffer)}
	mark := marking()
	c.coder = codertest.Start(codertest.ProfileNew, codertest.Clock(c.clock.Now))
	t.Cleanup(func() { checkLeaks(t, c.coder, mark) })
	c.store = c.db.Store(t)
	file := filepath.Join(t.TempDir(), "owner-token")
	if err := os.WriteFile(file, []byte(c.coder.OwnerToken), 0o600); err != nil {
		t.Fatal(err)
	}
	token, err := owner.OpenToken(file, zerolog.New(c.log))
	if err != nil {
		t.Fatal(err)
	}
	c.keeper = &owner.Keeper{Token: token, Ledger: c.store, Instance: "keeper", Now: c.clock.Now, Log: zerolog.New(c.log)}
	c.boot(t)
	t.Cleanup(func() { c.end() })
	return c
}

// inMemory saves the fake's network.
type inMemory struct{ handler http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.RemoteAddr = "127.0.0.1:1"
	if r.Body == nil {
		r.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	m.handler.ServeHTTP(answer, r)
	return answer.Result(), nil
}

// settler is what a test and rapid have in common.
type settler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// boot starts a server. The leases of the one before have run out by then.
func (c *city) boot(t settler) {
	t.Helper()
	log := zerolog.New(c.log).Level(zerolog.WarnLevel)
	client, err := coderclient.New(coderclient.Config{
		URL: c.coder.URL, Token: c.keeper.Token.Current, Observe: c.keeper.Token.Observe,
		HTTPClient: &http.Client{Transport: inMemory{c.coder}}, CallTimeout: time.Minute,
		RetryDelay: func(int) time.Duration { return 0 }, Breaker: coderclient.BreakerSettings{CoolDown: time.Millisecond},
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	verifier, err := webhook.NewVerifier(authtest.SecretA, c.clock.Now)
	if err != nil {
		t.Fatalf("%v", err)
	}
	c.life, c.client, c.keeper.Coder = new(life), client, client
	o := patient().options
	o.Instance, o.Now, o.CheckInterval = uuid.NewString(), c.clock.Now, 7*authtest.Day
	o.Backlog = 0 // its time is the real one
	o.OutOfClaims = c.out
	ledger := mortalLedger{c.store, c.life}
	registry := metrics.New()
	ring := keyring.New(o, ledger, mortalCoder{client, c.life}, registry, log)
	c.life.end = func() { kill(ring) }
	c.server = &Server{
		Verifier: verifier, Policy: policy.Policy{RequireAAL: "aal1"}, Keyring: ring, Registry: registry, OutOfClaims: c.out,
		Deadline: patience, Now: c.clock.Now, Log: log,
	}
	c.handler = c.server.Handler()
	if c.rules != nil {
		ring.Rules = rules.NewLive(rules.Source{}, c.rules, registry, log)
	}
	c.reconciler = keyring.NewReconciler(ring, ledger, mortalCoder{client, c.life}, ledger, registry)
	c.reconciler.Interval = authtest.Day
	if c.out {
		c.reconciler.Withdraw = ring.Provisioner.Withdraw
	}
}

// end lets nothing of the server go on.
func (c *city) end() {
	kill(c.server.Keyring)
	c.server.Keyring.Wait()
}

// reboot comes after a crash.
func (c *city) reboot(t settler) {
	t.Helper()
	c.crashes++
	c.restart(t)
}

// restart puts another server in the place of the one that ended in the midst of its work.
func (c *city) restart(t settler) {
	t.Helper()
	c.end()
	if err := c.db.Run(`update coderhook.accounts set lease_until = now() where lease_until is not null;
		update coderhook.tasks set lease_until = now() where lease_until is not null`); err != nil {
		t.Fatalf("%v", err)
	}
	c.boot(t)
}

func (c *city) move(t *testing.T, n int) {
	t.Helper()
	for range n {
		email := uuid.NewString() + "@example.com"
		c.users = append(c.users, &citizen{id: c.db.AddUser(t, email), email: email, seen: make(map[string]bool)})
	}
}

// outage begins or ends.
func (c *city) outage(begins bool) {
	switch {
	case begins && c.down == nil:
		c.down = c.coder.Fail(codertest.Fault{Status: 503, Proxy: true})
		c.outages++
	case !begins && c.down != nil:
		c.down()
		c.down = nil
		for !c.client.Available() {
			_ = c.client.Probe(context.Background()) // as serve does once a second
		}
	}
}

// mint asks for a token as Supabase Auth does.
func (c *city) mint(t settler, u *citizen) (key, status string) {
	t.Helper()
	minted := c.mintAll(t, []*citizen{u})[0]
	return minted.key, minted.status
}

// minted is what a token carries: a key, or the reason for none.
type minted struct{ key, status string }

// mintAll signs users in at the same time. When a connection breaks, Supabase Auth tries again, up
// to three times.
func (c *city) mintAll(t settler, users []*citizen) []minted {
	t.Helper()
	c.mints += len(users)
	now, answers := c.clock.Now(), make([]*httptest.ResponseRecorder, len(users))
	for attempt := 1; ; attempt++ {
		var minting sync.WaitGroup
		for i, u := range users {
			if answers[i] == nil {
				minting.Go(func() { answers[i] = c.ask(u, now) })
			}
		}
		minting.Wait()
		c.server.Keyring.Wait()
		if c.life.dead() {
			c.reboot(t)
		}
		lost := 0
		for _, answer := range answers {
			if answer == nil {
				lost++
			}
		}
		if c.repeated += lost; lost == 0 {
			break
		}
		if attempt == 3 {
			t.Fatalf("the sign-in failed: three servers in a row crashed under it")
		}
	}
	got := make([]minted, len(users))
	for i, u := range users {
		got[i] = c.carry(t, u, now, answers[i])
	}
	return got
}

// ask posts one event. An answer of a process that is dead is lost with its connection: nil.
func (c *city) ask(u *citizen, now time.Time) *httptest.ResponseRecorder {
	body := fmt.Appendf(nil, `{"user_id":%[1]q,"authentication_method":"token_refresh","claims":{"sub":%[1]q,"email":%[2]q,"exp":%[3]d,`+
		`"iat":%[4]d,"role":"authenticated","aal":%[5]q,"is_anonymous":false,"app_metadata":{"api_key":"stale"},"user_metadata":{}}}`,
		u.id, u.email, now.Unix()+3600, now.Unix(), cmp.Or(u.aal, "aal1"))
	request := httptest.NewRequest(http.MethodPost, "/hooks/custom-access-token", bytes.NewReader(body))
	request.Header = c.signature(body)
	answer := httptest.NewRecorder()
	c.handler.ServeHTTP(answer, request)
	if c.life.dead() {
		return nil
	}
	return answer
}

func (c *city) signature(body []byte) http.Header {
	id, now := uuid.NewString(), c.clock.Now()
	return authtest.Sign(c.tb, authtest.SecretA, id, now, body)
}

// carry notes what the new token carries.
func (c *city) carry(t settler, u *citizen, now time.Time, answer *httptest.ResponseRecorder) minted {
	t.Helper()
	var said struct {
		Claims struct {
			Metadata struct {
				Key    string `json:"api_key"`
				Status string `json:"api_key_status"`
			} `json:"app_metadata"`
		} `json:"claims"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &said); answer.Code != 200 || err != nil {
		t.Fatalf("the sign-in failed: %d %s", answer.Code, answer.Body)
	}
	got := minted{said.Claims.Metadata.Key, said.Claims.Metadata.Status}
	if got.status == "ready" {
		return got
	}
	if got.key == "" {
		c.without++
		return got
	}
	u.seen[coderclient.KeyID(got.key)] = true
	u.carried = append(u.carried, carried{coderclient.KeyID(got.key), now.Add(time.Hour).Truncate(time.Second)})
	return got
}

// key is what Coder knows of a key of the user's, nil when it has it no more.
func (c *city) key(u *citizen, id string) *codertest.Key {
	if user, found := c.coder.User(u.name); !found || user.Email != u.email {
		u.name = ""
		for _, user := range c.coder.Users() {
			if user.Email == u.email {
				u.name = user.Username
			}
		}
	}
	if u.name == "" {
		return nil
	}
	for _, key := range c.coder.TokensOf(u.name) {
		if key.ID == id {
			return &key
		}
	}
	return nil
}

// wantAlive checks that the keys which the user's tokens carry outlive them.
func (c *city) wantAlive(t settler, u *citizen) {
	t.Helper()
	now := c.clock.Now()
	living := u.carried[:0]
	for _, token := range u.carried {
		if token.until.Before(now) {
			continue
		}
		living = append(living, token)
		if key := c.key(u, token.keyID); key == nil || key.ExpiresAt.Before(token.until) {
			t.Errorf("a token that lives until %s carries key %s, which is %+v", token.until, token.keyID, key)
		}
	}
	u.carried = living
}

// reconcile runs, and again after a crash.
func (c *city) reconcile(t settler) (sum reconcile.Summary) {
	t.Helper()
	for {
		sum, err := c.reconciler.Reconcile(context.Background(), false)
		c.server.Keyring.Wait() // a withdrawn key's job gives its lease back when all is done
		crashed := c.life.dead()
		if crashed {
			c.reboot(t)
		}
		switch {
		case !crashed && err == nil:
			return sum
		case !crashed && c.down == nil && !errors.Is(err, errCrashed):
			t.Fatalf("reconcile: %v", err)
		case !crashed:
			return sum
		}
	}
}

// wantOneToken checks that the user has one token of ours that lives: the profile's.
func (c *city) wantOneToken(t settler, u *citizen) {
	t.Helper()
	account, err := c.store.Lookup(context.Background(), u.id)
	if err != nil {
		t.Fatalf("%v", err)
	}
	accounts, tokens := 0, []codertest.Key{}
	for _, user := range c.coder.Users() {
		if user.Email != u.email {
			continue
		}
		accounts++
		for _, key := range c.coder.TokensOf(user.Username) {
			if strings.HasPrefix(key.TokenName, apikey.Prefix) && key.ExpiresAt.After(c.clock.Now()) {
				tokens = append(tokens, key)
			}
		}
	}
	if accounts != 1 || len(tokens) != 1 || tokens[0].Whole != account.APIKey || account.APIKey == "" {
		t.Errorf("%s: %d Coder users, %d live tokens of ours, %v", u.email, accounts, len(tokens), account)
	}
}

// judge checks what a sign-in got.
func (c *city) judge(t settler, u *citizen, got minted) {
	t.Helper()
	switch {
	case c.down == nil && got.key == "":
		t.Errorf("no key for %s though Coder was up: %s", u.email, got.status)
	case c.down == nil:
		c.wantAlive(t, u)
	case got.key != "":
		last := u.carried[len(u.carried)-1]
		if key := c.key(u, last.keyID); key == nil || key.ExpiresAt.Before(last.until) {
			c.fallbacks++ // a short key is better than none while Coder can't be reached
			u.carried = u.carried[:len(u.carried)-1]
		}
	}
}

var yearDays = flag.Int("year.days", 60, "length of TestYear; a whole one takes six times as long: task year")

// TestYear is a year of fifty users with four mints a day each. Coder is down for an hour every
// week, and the server crashes once a day, at a random call of Coder or the database.
func TestYear(t *testing.T) {
	t.Parallel()
	days := *yearDays
	if testing.Short() {
		days = min(days, 30)
	}
	began := time.Now()
	seed := uint64(began.UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := newCity(t)
	c.move(t, 50)
	const batch, step = 10, 6 * time.Hour / 5 // ten sign in at the same time, five times in six hours
	outage, keys := 0, make(map[string]bool)
	for at := 0; at < days*24*5/6; at++ {
		hour := float64(at) * step.Hours()
		if at%(7*20) == 0 {
			outage = at + random.IntN(7*20)
		}
		c.outage(at == outage) // and not at the next, which is more than an hour later
		if at%20 == 11 {
			c.life.crashAfter(1+random.IntN(30), random.IntN(2) == 0)
		}
		now := c.users[at%5*batch : (at%5+1)*batch]
		for i, got := range c.mintAll(t, now) {
			c.judge(t, now[i], got)
			if got.key != "" {
				keys[got.key] = true
			}
		}
		c.clock.Advance(step)
		if at%5 == 4 && c.down == nil {
			if err := c.keeper.Turn(t.Context()); err != nil {
				t.Errorf("hour %.0f: %v", hour, err)
			}
		}
		if at%(7*20) == 60 && c.down == nil {
			c.reconcile(t)
			for _, u := range c.users {
				c.wantAlive(t, u)
			}
		}
		c.coder.ForgetRequests()
		if t.Failed() {
			t.Fatalf("hour %.0f, log:\n%s", hour, c.log)
		}
	}
	c.outage(false)
	for range 2 {
		c.clock.Advance(2 * time.Hour)
		c.reconcile(t)
	}
	for _, u := range c.users {
		c.wantOneToken(t, u)
	}
	if c.crashes < days*9/10 {
		t.Errorf("only %d crashes in %d days", c.crashes, days)
	}
	t.Logf("%d days, %d users: %d mints, all answered with 200 (%d repeated after a crash under them), %d crashes, %d outages of an hour; "+
		"%d answers without a key and %d with a key shorter than the token, all while Coder was down; %d keys were handed out in all; "+
		"at the end one live token of ours for each user; took %s",
		days, len(c.users), c.mints, c.repeated, c.crashes, c.outages, c.without, c.fallbacks, len(keys), time.Since(began).Round(time.Second))
}

// kill ends all that is under way, as the end of the process would.
func kill(k *keyring.Keyring) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = k.Stop(ctx)
}
