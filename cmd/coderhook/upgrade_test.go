package main

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/process"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
)

// lastRelease builds the program of the last release from the history of this repository.
func lastRelease(t *testing.T) (binary string) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program of the last release, which takes a while")
	}
	commit := strings.TrimSpace(projectFile(t, "store/testdata/released/commit"))
	dir := t.TempDir()
	archive := filepath.Join(dir, "source.tar")
	out, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "archive", "-o", archive, commit).CombinedOutput()
	if err != nil {
		t.Skipf("this copy has no history back to the last release, %s (a shallow clone gets it with: git fetch --unshallow): %s", commit, out)
	}
	if out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	binary = filepath.Join(dir, "coderhook-released")
	if err := process.Build(t.Context(), dir, "./cmd/coderhook", binary); err != nil {
		t.Fatal(err)
	}
	return binary
}

// fleet is replicas behind a load balancer that takes one out before it is stopped.
type fleet struct {
	t     *testing.T
	db    *storetest.DB
	coder *codertest.Server

	mu       sync.Mutex
	replicas []*cmdtest.Server
	turn     int
	keys     map[uuid.UUID]string // of who has signed in
}

func newFleet(t *testing.T, db *storetest.DB, coder *codertest.Server) *fleet {
	return &fleet{t: t, db: db, coder: coder, keys: make(map[uuid.UUID]string)}
}

// add starts a replica, of this version where binary is "".
func (f *fleet) add(binary string, extra ...string) {
	f.t.Helper()
	started := cmdtest.StartBinary(f.t, binary, f.db, f.coder, extra...)
	started.Becomes(f.t, `"database":"ok"`)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas = append(f.replicas, started)
}

// drop stops the replica that is there for longest.
func (f *fleet) drop() {
	f.t.Helper()
	f.mu.Lock()
	oldest := f.replicas[0]
	f.replicas = f.replicas[1:]
	f.mu.Unlock()
	oldest.Stop(f.t)
}

// replace does so with all, one by one.
func (f *fleet) replace(binary string, extra ...string) {
	f.t.Helper()
	for range len(f.replicas) {
		f.add(binary, extra...)
		f.drop()
	}
}

// signIn has the next replica mint a token. Whoever has a key keeps it.
func (f *fleet) signIn(ctx context.Context, user uuid.UUID, email string) error {
	f.mu.Lock()
	f.turn++
	replica := f.replicas[f.turn%len(f.replicas)]
	f.mu.Unlock()
	key, status, err := "", "pending", error(nil)
	for err == nil && status == "pending" { // on a busy machine a first key takes longer than a mint may
		key, status, err = replica.Mint(ctx, http.DefaultClient, user, email)
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch had := f.keys[user]; {
	case key == "":
		return fmt.Errorf("user %s gets no key: %s", user, status)
	case had != "" && key != had:
		return fmt.Errorf("user %s had the key %.10s, and gets %.10s", user, had, key)
	}
	f.keys[user] = key
	return nil
}

// newcomers sign in for the first time, at each of the replicas, and once more when their key is stored.
func (f *fleet) newcomers() {
	f.t.Helper()
	for range len(f.replicas) {
		user := f.db.AddUser(f.t, "")
		email := user.String()[:8] + "@example.com"
		for range 2 {
			if err := f.signIn(f.t.Context(), user, email); err != nil {
				f.t.Error(err)
			}
			cmdtest.Eventually(f.t, "the key is stored", func() bool {
				return storetest.Query[bool](f.t, f.db, `select exists (select from public.profiles where id = $1 and api_key <> '')`, user)
			})
		}
	}
}

// wantOneKeyEach: one Supabase user, one Coder user, one key, and it is the one in the tokens.
func (f *fleet) wantOneKeyEach() {
	f.t.Helper()
	for user, key := range f.keys {
		tokens := f.coder.TokensOf(user.String()[:8])
		if len(tokens) != 1 || tokens[0].Whole != key {
			f.t.Errorf("user %s has %d tokens in Coder, or another", user, len(tokens))
		}
	}
	if users := len(f.coder.Users()); users != len(f.keys) {
		f.t.Errorf("%d users signed in, and Coder has %d", len(f.keys), users)
	}
}

// The last release is upgraded, replica by replica, and gone back to. No sign-in fails, and nobody gets another key.
func TestUpgradeAndBack(t *testing.T) {
	t.Parallel()
	old := lastRelease(t)
	db, coder := storetest.Bare(t), cmdtest.Coder(t)
	admin := db.RoleURL(pgserver.ProductAdmin)
	for _, name := range releasedFiles(t) {
		if err := storetest.RunScript(t.Context(), admin, projectFile(t, name)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	f := newFleet(t, db, coder)
	f.add(old)
	f.add(old)
	some, end := underLoad(t, db, 4, 30, f.signIn)
	settle := func() { some(); f.newcomers() }
	settle()
	if _, err := command(t, map[string]string{"DATABASE_URL": admin}, "migrate"); err != nil {
		t.Fatal(err)
	}
	settle()
	for _, binary := range []string{"", "", old, old} {
		f.add(binary)
		settle() // two of one version beside one of the other
		f.drop()
		settle()
	}
	back := exec.CommandContext(t.Context(), old, "migrate")
	back.Env = []string{"DATABASE_URL=" + admin}
	if out, err := back.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	settle()
	end()
	f.wantOneKeyEach()

	// Whoever goes back without decrypting first: the last release takes what is encrypted for no key, and makes new ones.
	if out, err := upkeepCommand(t, db, coder, map[string]string{"KEY_ENCRYPTION_KEYS": encryptionKey()}, "rotate-keys"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	clear(f.keys)
	f.newcomers()
	for _, user := range storetest.QueryAll[uuid.UUID](t, db, `select id from public.profiles`) {
		if err := f.signIn(t.Context(), user, user.String()[:8]+"@example.com"); err != nil {
			t.Error(err)
		}
	}
}

func releasedFiles(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob("../../store/testdata/released/*.sql")
	if err != nil || len(paths) == 0 {
		t.Fatal(err)
	}
	for _, path := range paths {
		names = append(names, strings.TrimPrefix(path, "../../"))
	}
	slices.Sort(names)
	return names
}

// As README says: the variable goes from replica to replica, first with plain. No sign-in fails or lacks its key, there, on to
// another encryption key, and back.
func TestEncryptionIsTurnedOnAndOffUnderLoad(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	a, b := encryptionKey(), encryptionKey()
	f := newFleet(t, db, coder)
	f.add("")
	f.add("")
	some, end := underLoad(t, db, 4, 30, f.signIn)
	settle := func() { some(); f.newcomers() }
	stored := func(prefix string) {
		t.Helper()
		for _, value := range storetest.QueryAll[string](t, db, `select api_key from public.profiles`) {
			if strings.HasPrefix(value, "enc:v1:") != (prefix != "") {
				t.Errorf("stored %.20s", value)
			}
		}
	}
	rotate := func(keys string, args ...string) {
		t.Helper()
		if out, err := upkeepCommand(t, db, coder, map[string]string{"KEY_ENCRYPTION_KEYS": keys}, append([]string{"rotate-keys"}, args...)...); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	settle()
	for _, keys := range []string{"plain|" + a, a} {
		f.replace("", "KEY_ENCRYPTION_KEYS="+keys)
		settle()
	}
	rotate(a)
	stored("enc")
	settle()
	f.replace("", "KEY_ENCRYPTION_KEYS="+a, "REFUSE_PLAIN_KEYS=true")
	settle()
	for _, keys := range []string{a + "|" + b, b + "|" + a} {
		f.replace("", "KEY_ENCRYPTION_KEYS="+keys)
		settle()
	}
	rotate(b + "|" + a)
	for _, keys := range []string{b, "plain|" + b} {
		f.replace("", "KEY_ENCRYPTION_KEYS="+keys)
		settle()
	}
	rotate("plain|"+b, "--decrypt")
	stored("")
	f.replace("")
	settle()
	end()
	f.wantOneKeyEach()
}
