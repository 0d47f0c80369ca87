package hook

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/owner"
	"coderhook/store/storetest"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// ownerWorld is a world whose replicas read the owner's token from files.
type ownerWorld struct {
	*world
	*authtest.Clock
	file string
}

func newOwnerWorld(t *testing.T, s settings) *ownerWorld {
	t.Helper()
	s.clock = authtest.NewClock()
	w := &ownerWorld{world: newWorld(t, s), Clock: s.clock, file: filepath.Join(t.TempDir(), "owner-token")}
	w.write(t, w.file, w.coder.OwnerToken)
	return w
}

func (w *ownerWorld) write(t *testing.T, file, token string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(token+"\n"), 0o640); err != nil {
		t.Fatal(err)
	}
}

func (w *ownerWorld) read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// keeper is a replica's, with a client of its own that uses the token of that file.
func (w *ownerWorld) keeper(t *testing.T, file string) *owner.Keeper {
	t.Helper()
	log := zerolog.New(w.log)
	token, err := owner.OpenToken(file, log)
	if err != nil {
		t.Fatal(err)
	}
	client, err := coderclient.New(coderclient.Config{
		URL: w.coder.URL, Token: token.Current, Observe: token.Observe, HTTPClient: ownConnections(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &owner.Keeper{Token: token, Coder: client, Ledger: w.store, Instance: uuid.NewString(), Now: w.Now, Log: log}
}

func (w *ownerWorld) ownerTokens() map[string]bool {
	tokens := make(map[string]bool)
	for _, token := range w.coder.TokensOf("owner") {
		if token.ExpiresAt.After(w.Now()) {
			tokens[token.Whole] = true
		}
	}
	return tokens
}

// Three weeks of a server whose owner tokens die after one, whatever is done with them.
func TestOwnersTokenOutlivesItsWeek(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	w.addAda(t)
	keeper := w.keeper(t, w.file)
	w.useCoder(keeper.Coder.(*coderclient.Client))
	renewals, last := 0, w.read(t, w.file)
	for hour := range 3 * 7 * 24 {
		if err := keeper.Turn(t.Context()); err != nil {
			t.Fatalf("after %d hours: %v", hour, err)
		}
		if err := keeper.Check(t.Context()); err != nil {
			t.Fatalf("after %d hours: %v", hour, err)
		}
		if now := w.read(t, w.file); now != last {
			renewals, last = renewals+1, now
		}
		if hour%6 == 0 && w.mintAda(t) == "" {
			t.Fatalf("after %d hours: no key", hour)
		}
		w.settled()
		w.Advance(time.Hour)
	}
	if renewals != 5 && renewals != 6 {
		t.Errorf("%d renewals in three weeks, want one each half week", renewals)
	}
	if tokens := w.ownerTokens(); len(tokens) != 1 || !tokens[last] {
		t.Errorf("%d tokens are left, or the file has another", len(tokens))
	}
	if strings.Contains(w.log.String(), strings.Split(last, "-")[1]) {
		t.Error("the token stands in the log")
	}
}

// An owner has tokens of their own, which a line in the ledger that somebody else wrote must not end.
func TestOtherTokensOfTheOwnerAreNotDeleted(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	ci := w.coder.AddToken("owner", "ci", 30*authtest.Day)
	made := w.coder.AddToken("owner", "coderhook-owner-abcdefgh2345", 30*authtest.Day)
	keeper := w.keeper(t, w.file)
	owner, err := w.client.Me(t.Context(), w.coder.OwnerToken)
	if err != nil {
		t.Fatal(err)
	}
	// By whoever has the role's password.
	for _, id := range []string{ci.ID, made.ID} {
		w.db.Exec(t, `insert into coderhook.retired_keys values ($1, $2, $3, $4)`, id, uuid.Nil, owner.ID, w.Now().Add(-time.Minute))
	}
	for range 2 {
		if err := keeper.Turn(t.Context()); err != nil {
			t.Error(err)
		}
		w.Advance(25 * time.Hour)
	}
	tokens := w.ownerTokens()
	if !tokens[ci.Whole] || tokens[made.Whole] {
		t.Errorf("CI's is there: %t; the one that we made: %t", tokens[ci.Whole], tokens[made.Whole])
	}
	if left, err := w.store.Retired(t.Context(), uuid.Nil); err != nil || len(left) > 0 {
		t.Errorf("still retired: %v, %v", left, err)
	}
}

// A token whose use moves its end needs no successor.
func TestOwnersTokenThatSlidesIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, patient())
	keeper := w.keeper(t, w.file)
	for range 3 * 7 {
		if err := keeper.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Advance(24 * time.Hour)
	}
	if w.read(t, w.file) != w.coder.OwnerToken {
		t.Error("it was replaced")
	}
}

func TestOwnersFileKeepsModeAndOwnerAndIsNeverHalfWritten(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(w.file, link); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(w.file, 1234, 2345); err != nil {
			t.Fatal(err)
		}
	}
	before, _ := os.Stat(w.file)
	keeper := w.keeper(t, link)
	w.Advance(85 * time.Hour)
	seen, stop := make(chan string), make(chan struct{})
	go func() { // what anybody may read at any moment
		defer close(seen)
		for {
			select {
			case <-stop:
				return
			default:
				content, _ := os.ReadFile(link)
				if coderclient.KeyID(strings.TrimSpace(string(content))) == "" {
					seen <- string(content)
					return
				}
				runtime.Gosched()
			}
		}
	}()
	if err := keeper.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if half, bad := <-seen; bad {
		t.Errorf("at some moment the file had %d bytes", len(half))
	}
	after, err := os.Stat(w.file)
	if err != nil || after.Mode() != before.Mode() || w.read(t, w.file) == w.coder.OwnerToken {
		t.Errorf("mode %v, was %v; %v", after.Mode(), before.Mode(), err)
	}
	wantSameOwner(t, before, after)
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link became a %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(w.file), ".coderhook-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Two replicas, one file, or each its own copy of the token: whoever loses the race loses nothing.
func TestReplicasRenewTheOwnersToken(t *testing.T) {
	t.Parallel()
	for name, copies := range map[string]bool{"one file": false, "a file for each": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newOwnerWorld(t, profileNew())
			files := []string{w.file, w.file, w.file, w.file}
			keepers := make([]*owner.Keeper, len(files))
			for i := range files {
				if copies {
					files[i] = filepath.Join(t.TempDir(), "copy")
					w.write(t, files[i], w.coder.OwnerToken)
				}
				keepers[i] = w.keeper(t, files[i])
			}
			for range 2 * 24 * 7 / 12 {
				w.Advance(12 * time.Hour)
				for range len(keepers) + 1 { // the minutes of the hour
					var turns sync.WaitGroup
					for _, keeper := range keepers {
						turns.Go(func() {
							if err := keeper.Turn(t.Context()); err != nil {
								t.Error(err)
							}
						})
					}
					turns.Wait()
					w.Advance(time.Minute)
				}
			}
			w.Advance(time.Hour)
			living := make(map[string]bool)
			for i, keeper := range keepers {
				if err := keeper.Turn(t.Context()); err != nil {
					t.Error(err)
				}
				living[w.read(t, files[i])] = true
				if _, err := w.client.Me(t.Context(), w.read(t, files[i])); err != nil {
					t.Errorf("the token of replica %d: %v", i, err)
				}
			}
			if tokens := w.ownerTokens(); len(tokens) != len(living) {
				t.Errorf("Coder has %d tokens, the files have %d", len(tokens), len(living))
			}
		})
	}
}

// Another token in the file is used from the next request on, without a restart.
func TestOwnersFileIsReadAgain(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	keeper := w.keeper(t, w.file)
	other := w.coder.AddToken("owner", "by hand", 30*authtest.Day)
	w.write(t, w.file, other.Whole)
	if got := keeper.Token.Current(); got != other.Whole {
		t.Error("the file was not read again")
	}
	w.write(t, w.file, "half a tok")
	if got := keeper.Token.Current(); got != other.Whole {
		t.Errorf("took %q for a token", got)
	}
	if err := os.Remove(w.file); err != nil || keeper.Token.Current() != other.Whole {
		t.Errorf("without the file: %v", err)
	}
	w.write(t, w.file, w.coder.OwnerToken)
	if got := keeper.Token.Current(); got != w.coder.OwnerToken {
		t.Error("the new file was not read")
	}
}

// A file that changed without looking so is read again when Coder does not take the token.
func TestOwnersFileIsReadAgainAfter401(t *testing.T) {
	t.Parallel()
	w := newOwnerWorld(t, profileNew())
	first, second := w.coder.AddToken("owner", "first", 30*authtest.Day), w.coder.AddToken("owner", "second", 30*authtest.Day)
	w.write(t, w.file, first.Whole)
	info, _ := os.Stat(w.file)
	keeper := w.keeper(t, w.file)
	w.write(t, w.file, second.Whole)
	if err := os.Chtimes(w.file, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	client := keeper.Coder.(*coderclient.Client)
	if _, err := client.DefaultOrganization(t.Context()); err != nil || keeper.Token.Current() != first.Whole {
		t.Skipf("the file system tells the change: %v", err)
	}
	w.coder.DeleteKey(first.ID)
	if _, err := client.DefaultOrganization(t.Context()); err == nil {
		t.Error("the dead token was taken")
	}
	if _, err := client.DefaultOrganization(t.Context()); err != nil {
		t.Errorf("after the 401: %v", err)
	}
}

// Where the file can't be replaced, the log and readiness say so two days before the end.
func TestOwnersTokenThatCannotBeRenewed(t *testing.T) {
	t.Parallel()
	for name, byValue := range map[string]bool{"given by value": true, "in a folder that is not ours": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newOwnerWorld(t, profileNew())
			keeper := w.keeper(t, w.file)
			if byValue {
				token, err := owner.NewToken(w.coder.OwnerToken)
				if err != nil {
					t.Fatal(err)
				}
				keeper.Token = token
			} else {
				keeper.Token.Path = "/proc/self/comm" // may be written, but nothing can be made beside it
			}
			for hour := range 168 {
				_ = keeper.Turn(t.Context())
				if got, want := keeper.Check(t.Context()) != nil, hour >= 120; got != want {
					t.Errorf("after %d h: warning %v, want %v", hour, got, want)
				}
				w.Advance(time.Hour)
			}
			if n := strings.Count(w.log.String(), "about to die"); n == 0 {
				t.Error("nothing in the log")
			}
			if len(w.coder.TokensOf("owner")) != 1 {
				t.Error("a token was minted that can't be kept")
			}
		})
	}
}

// A narrow token has narrow successors, or none: never one that may do everything.
func TestOwnersTokenKeepsItsScopes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		token   coderclient.NewToken
		spoil   func(*codertest.Server)
		renewed bool
	}{
		"everything":    {coderclient.NewToken{Scope: "all"}, nil, true},
		"a list":        {coderclient.NewToken{Scopes: []string{"user:read", "user:create", "api_key:create", "api_key:read"}}, nil, true},
		"an allow-list": {coderclient.NewToken{Scopes: []string{"coder:all"}, AllowList: []string{"user:*", "api_key:*"}}, nil, true},
		"not kept":      {coderclient.NewToken{Scopes: []string{"user:read"}}, (*codertest.Server).IgnoreScopes, false},
		"refused by now": {coderclient.NewToken{Scopes: []string{"user:read"}}, func(s *codertest.Server) {
			s.Fail(codertest.Fault{Method: "POST", Status: 400, Body: `{"message":"Failed to create API key."}`})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newOwnerWorld(t, profileNew())
			me, err := w.client.Me(t.Context(), w.coder.OwnerToken)
			if err != nil {
				t.Fatal(err)
			}
			c.token.Name, c.token.Lifetime = "narrow", 7*authtest.Day
			first, err := w.client.CreateToken(t.Context(), me.ID, c.token)
			if err != nil {
				t.Fatal(err)
			}
			before, err := w.client.Key(t.Context(), me.ID, coderclient.KeyID(first))
			if err != nil {
				t.Fatal(err)
			}
			w.write(t, w.file, first)
			keeper := w.keeper(t, w.file)
			if c.spoil != nil {
				c.spoil(w.coder)
			}
			w.Advance(4 * authtest.Day)
			for range 3 {
				_ = keeper.Turn(t.Context())
			}
			now := w.read(t, w.file)
			if (now != first) != c.renewed {
				t.Fatalf("renewed: %t", now != first)
			}
			after, err := w.client.Key(t.Context(), me.ID, coderclient.KeyID(now))
			if err != nil || !after.Allows(before) {
				t.Errorf("%v: from %+v to %+v", err, before, after)
			}
			if !c.renewed && !strings.Contains(w.log.String(), `"level":"warn"`) && keeper.Turn(t.Context()) == nil {
				t.Error("no warning")
			}
			for _, token := range w.coder.TokensOf("owner") {
				if token.Whole != w.coder.OwnerToken && token.Whole != now && token.Whole != first {
					t.Errorf("a token is left that nobody uses: %s", token.TokenName)
				}
			}
		})
	}
}

// Killed or refused at any request, neither the file nor Coder is left without a working token.
func TestOwnersRenewalFailsAnywhere(t *testing.T) {
	t.Parallel()
	for _, fault := range []codertest.Fault{
		{Method: "POST", Path: "/users/*/keys/tokens", Status: 500, Times: 1},
		{Method: "POST", Path: "/users/*/keys/tokens", Reset: true, AfterActing: true, Times: 1},
		{Method: "GET", Path: "/users/me", Nth: 2, Status: 401, Times: 1, Body: `{"message":"You are signed out"}`},
		{Method: "DELETE", Status: 500, Times: 1},
	} {
		w := newOwnerWorld(t, profileNew())
		keeper := w.keeper(t, w.file)
		w.Advance(85 * time.Hour)
		w.coder.Fail(fault)
		for range 4 {
			_ = keeper.Turn(t.Context())
			if _, err := w.client.Me(t.Context(), w.read(t, w.file)); err != nil {
				t.Errorf("%s %s: the file's token: %v", fault.Method, fault.Path, err)
			}
			w.Advance(15 * time.Minute)
		}
		if w.read(t, w.file) == w.coder.OwnerToken {
			t.Errorf("%s %s: not renewed in the end", fault.Method, fault.Path)
		}
		if rows := storetest.Query[int](t, w.db, `select count(*) from coderhook.retired_keys`); rows != 0 {
			t.Errorf("%s %s: the old token is not deleted", fault.Method, fault.Path)
		}
	}
}
