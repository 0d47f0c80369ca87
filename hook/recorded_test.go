package hook

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// recorded is a request that a real Supabase Auth has sent, with the bytes that it signed.
type recorded struct {
	Name    string
	Secrets string
	Request struct {
		Headers map[string]string
		Body    string
	}
}

func (r recorded) header() http.Header {
	h := make(http.Header)
	for name, value := range r.Request.Headers {
		if name != "Content-Length" && name != "Accept-Encoding" {
			h.Set(name, value)
		}
	}
	return h
}

func (r recorded) sentAt(t testing.TB) time.Time {
	t.Helper()
	seconds, err := strconv.ParseInt(r.header().Get("webhook-timestamp"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0)
}

func recordings(t testing.TB) map[string]recorded {
	t.Helper()
	files, err := filepath.Glob("../testdata/hook/*.json")
	if err != nil || len(files) != 21 {
		t.Fatalf("%d recordings, want 21 (%v)", len(files), err)
	}
	all := make(map[string]recorded)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var r recorded
		if err := json.Unmarshal(content, &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(file, ".json")] = r
	}
	return all
}

// Every request that was recorded from real servers of three versions verifies with each of its
// secrets alone, and gives the answer in the golden file beside it.
func TestRecordedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	for file, r := range recordings(t) {
		for i, secret := range strings.Split(r.Secrets, "|") {
			t.Run(filepath.Base(file)+"/secret"+strconv.Itoa(i+1), func(t *testing.T) {
				now := func() time.Time { return r.sentAt(t) }
				s := patient()
				s.options.Now = now
				s.server = func(s *Server) {
					verifier, err := NewVerifier(secret, now)
					if err != nil {
						t.Fatal(err)
					}
					s.Verifier, s.Now = verifier, now
				}
				seedProfile(t, w, r)
				got := w.start(t, s).post(t, []byte(r.Request.Body), r.header())
				if got.status != http.StatusOK || got.header.Get("Content-Type") != "application/json" {
					t.Errorf("status %d, %q", got.status, got.header.Get("Content-Type"))
				}
				checkGolden(t, file+".golden", got.body)
			})
		}
	}
	if calls := w.coder.Requests(); len(calls) > 0 {
		t.Errorf("Coder was asked: %v", calls)
	}
}

// seedProfile gives the recorded user a key, so that the answer is always the same.
func seedProfile(t *testing.T, w *world, r recorded) {
	t.Helper()
	var body struct {
		UserID uuid.UUID `json:"user_id"`
	}
	if err := json.Unmarshal([]byte(r.Request.Body), &body); err != nil {
		t.Fatal(err)
	}
	w.db.Exec(t, `insert into auth.users (id) values ($1) on conflict do nothing`, body.UserID)
	w.db.Exec(t, `insert into public.profiles (id, api_key) values ($1, 'AbCdEfGhIj-0123456789012345678901') on conflict do nothing`, body.UserID)
	w.db.Exec(t, `insert into coderhook.accounts (user_id, key_id, key_expires_at, key_lifetime_seconds, key_checked_at, token_seconds, status)
		values ($1, 'AbCdEfGhIj', '2100-01-01', 60, '2100-01-01', 864000, 'active') on conflict do nothing`, body.UserID)
}

func checkGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
