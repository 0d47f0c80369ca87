package hook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coderhook/hook/authtest"
)

// guarded lets a test say whether keys may be made.
func guarded(s settings) (settings, *atomic.Bool) {
	open := new(atomic.Bool)
	s.server = func(server *Server) {
		server.Keyring.Provisioner.MayMake = func(context.Context) error {
			if open.Load() {
				return nil
			}
			return errors.New("keys are readable by others")
		}
	}
	return s, open
}

// Who has no key is told so, Coder hears nothing of it, the backlog rests, and when the time has come all get theirs.
func TestNoKeyIsMadeWhileNoneMayBe(t *testing.T) {
	t.Parallel()
	s, open := guarded(impatient())
	w := newWorld(t, s)
	b := newBurst(t, w, 20)
	b.signIn(t, w.replica)
	if got := w.mint(t, b.users[0], b.email(0)); got.keyStatus(t) != "unavailable" {
		t.Errorf("got %s", got.body)
	}
	eventually(t, "the backlog has had its turn", func() bool {
		return w.Keyring.Provisioner.Load().Overdue == 20
	})
	if asked := w.coder.Requests(); len(asked) > 0 || count(t, w, `select count(*) from coderhook.accounts`) > 0 {
		t.Errorf("Coder was asked %v", asked)
	}
	if !strings.Contains(w.log.String(), "keys are readable by others") {
		t.Error("the log does not say why")
	}
	open.Store(true)
	b.wantKeys(t, w)
}

// A stored key goes on, and is not renewed; one that ends is handed out for as long as it lives.
func TestNoKeyIsRenewedWhileNoneMayBeMade(t *testing.T) {
	t.Parallel()
	s, open := guarded(impatient())
	open.Store(true)
	w, c, first := newbie(t, s)
	made := len(w.tokensOfAda())
	open.Store(false)
	end := w.account(t, ada).KeyExpiresAt
	for _, left := range []time.Duration{2 * authtest.Day, authtest.Day, 30 * time.Minute} {
		c.Advance(end.Add(-left).Sub(c.Now()))
		if got := w.mintAda(t); got != first {
			t.Errorf("%s before its end: %q", left, got)
		}
		w.settled()
	}
	if n := len(w.tokensOfAda()); n != made {
		t.Errorf("%d tokens, there were %d", n, made)
	}
}

func TestCreateCoderUserWhileNoKeyMayBeMade(t *testing.T) {
	t.Parallel()
	s, _ := guarded(patient())
	guard := s.server
	f := newFront(t, patient())
	guard(f.Server)
	user := f.db.AddUser(t, "ada@example.com")
	if got := f.create(t, f.token(t, user, "")); got.status != http.StatusServiceUnavailable || len(f.coder.Users()) > 0 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// The first mint waits for the verdict, no longer than for its deadline.
func TestMintWaitsForTheFirstVerdict(t *testing.T) {
	t.Parallel()
	judged := make(chan struct{})
	s := patient()
	s.server = func(server *Server) {
		server.Keyring.Provisioner.MayMake = func(ctx context.Context) error {
			select {
			case <-judged:
			case <-ctx.Done():
			}
			select {
			case <-judged:
				return nil
			default:
				return errors.New("not known yet")
			}
		}
	}
	w := newWorld(t, s)
	user := w.db.AddUser(t, "ada@example.com")
	answers := make(chan string)
	go func() { answers <- w.mint(t, user, "ada@example.com").key(t) }()
	eventually(t, "the mint waits", func() bool { return w.serving.Load() == 1 })
	close(judged)
	if key := <-answers; key == "" {
		t.Error("no key after the verdict")
	}
}
