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

	"coderhook/hook/authtest"
	"coderhook/hook/webhook"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Every request that was recorded from real servers of three versions verifies with each of its
// secrets alone, and gives the answer in the golden file beside it.
func TestRecordedRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	for file, r := range authtest.Recordings(t) {
		for i, secret := range strings.Split(r.Secrets, "|") {
			t.Run(filepath.Base(file)+"/secret"+strconv.Itoa(i+1), func(t *testing.T) {
				now := func() time.Time { return r.SentAt(t) }
				s := patient()
				s.options.Now = now
				s.server = func(s *Server) {
					verifier, err := webhook.NewVerifier(secret, now)
					if err != nil {
						t.Fatal(err)
					}
					s.Verifier, s.Now = verifier, now
				}
				seedProfile(t, w, r)
				got := w.start(t, s).post(t, []byte(r.Request.Body), r.Header())
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
func seedProfile(t *testing.T, w *world, r authtest.Recorded) {
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
