package coderclient_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

const day = 24 * time.Hour

func TestCreateTokenOnEveryProfile(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		alice := addUser(t, c, "alice")
		key, err := c.CreateToken(t.Context(), alice.ID, coderclient.NewToken{Name: "supabase-1", Lifetime: 90 * day})
		if err != nil {
			t.Fatal(err)
		}
		k, err := c.Key(t.Context(), alice.ID, coderclient.KeyID(key))
		if err != nil {
			t.Fatal(err)
		}
		lifetime := k.ExpiresAt.Sub(k.CreatedAt).Round(time.Minute)
		if k.TokenName != "supabase-1" || k.Scope != "all" || lifetime != 90*day || k.LifetimeSeconds != 90*86400 {
			t.Errorf("made %+v", k)
		}
		if k.LoginType != "token" || k.UserID != alice.ID || !k.NeverUsed() {
			t.Errorf("made %+v", k)
		}
		if tokens := s.TokensOf("alice"); len(tokens) != 1 || tokens[0].Whole != key {
			t.Errorf("the server has %+v", tokens)
		}
	})
}

func TestTokenNameTaken(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, _ *codertest.Server, c *coderclient.Client) {
		alice := addUser(t, c, "alice")
		addToken(t, c, alice, "t")
		_, err := c.CreateToken(t.Context(), alice.ID, coderclient.NewToken{Name: "t"})
		if !errors.Is(err, coderclient.ErrExists) {
			t.Errorf("want ErrExists: %v", err)
		}
	})
}

func TestDefaultLifetimeIsTheServers(t *testing.T) {
	t.Parallel()
	want := map[codertest.Profile]time.Duration{
		codertest.Profile2023: 30 * day, codertest.ProfileV231: 7 * day, codertest.ProfileNew: 7 * day,
	}
	for p, lifetime := range want {
		s := startCoder(t, p)
		c := clientOf(t, s, nil)
		if got := createdLifetime(t, c, addUser(t, c, "alice"), 0); got != lifetime {
			t.Errorf("%s: %v, want %v", p, got, lifetime)
		}
	}
}

// TestLifetimeIsClamped: over the maximum means the maximum, also for a default that is over it.
func TestLifetimeIsClamped(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		alice := addUser(t, c, "alice")
		s.Configure(func(set *codertest.Settings) { set.MaxTokenLifetime = 36 * time.Hour })
		for asked, want := range map[time.Duration]time.Duration{
			36 * time.Hour:      36 * time.Hour,
			36*time.Hour + 1:    36 * time.Hour,
			400 * 365 / 2 * day: 36 * time.Hour,
			time.Hour:           time.Hour,
		} {
			if got := createdLifetime(t, c, alice, asked); got != want {
				t.Errorf("asked for %v: got %v, want %v", asked, got, want)
			}
		}
	})
}

func TestRefusedDefaultLifetime(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.Profile2023)
	c := clientOf(t, s, nil)
	alice := addUser(t, c, "alice")
	s.Configure(func(set *codertest.Settings) { set.MaxTokenLifetime = day })
	if got := createdLifetime(t, c, alice, 0); got != day {
		t.Errorf("got %v, want the maximum", got)
	}
}

func TestOwnersHaveTheirOwnMaximum(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	c := clientOf(t, s, nil)
	owner, err := c.Me(t.Context(), s.OwnerToken)
	if err != nil {
		t.Fatal(err)
	}
	if got := createdLifetime(t, c, owner, 30*day); got != 7*day {
		t.Errorf("got %v, want 7 days", got)
	}
	if longest, err := c.MaxTokenLifetime(t.Context(), owner.ID); err != nil || longest != 7*day {
		t.Errorf("maximum %v, %v", longest, err)
	}
}

func createdLifetime(t *testing.T, c *coderclient.Client, u coderclient.User, asked time.Duration) time.Duration {
	t.Helper()
	key, err := c.CreateToken(t.Context(), u.ID, coderclient.NewToken{Name: uuid.NewString(), Lifetime: asked})
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.Key(t.Context(), u.ID, coderclient.KeyID(key))
	if err != nil {
		t.Fatal(err)
	}
	return k.ExpiresAt.Sub(k.CreatedAt)
}

// TestLifetimeIsRefusedForAnotherReason: repeating with the same or a longer one would change nothing.
func TestLifetimeIsRefusedForAnotherReason(t *testing.T) {
	t.Parallel()
	s, count := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "tokenconfig") {
			answerAs(w, 200, `{"max_token_lifetime":3155760000000000000}`)
			return
		}
		answerAs(w, 400, `{"message":"Failed to validate create API key request.","detail":"no"}`)
	})
	_, err := newClient(t, s.URL, nil).CreateToken(t.Context(), someID, coderclient.NewToken{Name: "t", Lifetime: day})
	if !errors.Is(err, coderclient.ErrRefused) || count.Load() != 2 {
		t.Errorf("%d requests: %v", count.Load(), err)
	}
}

func TestLifetimeIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	s, count := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "tokenconfig") {
			answerAs(w, 200, `{"max_token_lifetime":1000000000}`)
			return
		}
		answerAs(w, 400, `{"message":"Failed to validate create API key request.","detail":"no"}`)
	})
	_, err := newClient(t, s.URL, nil).CreateToken(t.Context(), someID, coderclient.NewToken{Name: "t"})
	if !errors.Is(err, coderclient.ErrRefused) || count.Load() != 3 {
		t.Errorf("%d requests: %v", count.Load(), err)
	}
}

func TestNegativeLifetime(t *testing.T) {
	t.Parallel()
	s, count := scripted(t, func(int, http.ResponseWriter, *http.Request) {})
	_, err := newClient(t, s.URL, nil).CreateToken(t.Context(), someID, coderclient.NewToken{Name: "t", Lifetime: -1})
	if err == nil || count.Load() != 0 {
		t.Errorf("%d requests: %v", count.Load(), err)
	}
}

// TestTokenRequest: the lifetime is an integer of nanoseconds, and the scope is always there.
func TestTokenRequest(t *testing.T) {
	t.Parallel()
	var body string
	s, _ := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body = string(raw)
		answerAs(w, 201, `{"key":"AbCdEfGhIj-0123456789012345678901"}`)
	})
	c := newClient(t, s.URL, func(cfg *coderclient.Config) { cfg.Scope = "application_connect" })
	if _, err := c.CreateToken(t.Context(), someID, coderclient.NewToken{Name: "t", Lifetime: 30 * day}); err != nil {
		t.Fatal(err)
	}
	const want = `{"token_name":"t","lifetime":2592000000000000,"scope":"application_connect"}`
	if body != want {
		t.Errorf("sent %s, want %s", body, want)
	}
}

func TestRubbishForAKey(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", "short", "AbCdEfGhI-0123456789012345678901x", "AbCdEfGhIj-012345678901234567890", "AbCdEfGhIj-01234567890123456789+1",
		"AbCdEfGhIj-0123456789012345678901\n", "AbCdEfGhIj_0123456789012345678901",
	} {
		body, _ := json.Marshal(map[string]string{"key": key})
		s, count := scripted(t, func(_ int, w http.ResponseWriter, _ *http.Request) { answerAs(w, 201, string(body)) })
		_, err := newClient(t, s.URL, nil).CreateToken(t.Context(), someID, coderclient.NewToken{Name: "t"})
		if !errors.Is(err, coderclient.ErrUnavailable) || count.Load() != 1 {
			t.Errorf("%q: %d requests, want one and ErrUnavailable: %v", key, count.Load(), err)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, _ *codertest.Server, c *coderclient.Client) {
		alice := addUser(t, c, "alice")
		if list, err := c.Tokens(t.Context(), alice.ID); err != nil || len(list) != 0 {
			t.Errorf("null is an empty list: %v, %v", list, err)
		}
		addToken(t, c, alice, "b")
		addToken(t, c, alice, "a")
		list, err := c.Tokens(t.Context(), alice.ID)
		if err != nil || len(list) != 2 || list[0].TokenName != "a" || list[0].UserID != alice.ID {
			t.Errorf("list: %+v, %v", list, err)
		}
	})
}

func TestKeyID(t *testing.T) {
	t.Parallel()
	const id, secret = "AbCdEfGh12", "0123456789abcdefghijKL"
	if got := coderclient.KeyID(id + "-" + secret); got != id {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{
		"", id, secret, id + secret, id + "-", "-" + secret, id + "-" + secret + "x", id + "--" + secret[:21],
		id[:9] + "-" + secret + "x", id + "-" + secret + "\n", " " + id + "-" + secret, id + "-" + secret[:21] + "_",
	} {
		if got := coderclient.KeyID(bad); got != "" {
			t.Errorf("%q: got %q", bad, got)
		}
	}
}
