package load_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/bench/load"
	"coderhook/hook/webhook"

	"github.com/google/uuid"
)

const secret = "v1,whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func users(n int) []load.User {
	users := make([]load.User, n)
	for i := range users {
		id := uuid.New()
		users[i] = load.User{ID: id, Key: "key-" + id.String(), Event: fmt.Appendf(nil, `{"user_id":%q}`, id)}
	}
	return users
}

// serve is a hook that answers as told, after it has verified what it is sent.
func serve(t *testing.T, users []load.User, answer func(w http.ResponseWriter, body string)) load.HTTP {
	t.Helper()
	verifier, err := webhook.NewVerifier(secret, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || verifier.Verify(body, r.Header) != nil || r.URL.Path != "/hooks/custom-access-token" {
			t.Errorf("%s %s: not as Supabase Auth asks", r.Method, r.URL)
		}
		answer(w, string(body))
	}))
	t.Cleanup(server.Close)
	return load.HTTP{Addr: server.Listener.Addr().String(), Secret: secret, Users: users}
}

func TestRun(t *testing.T) {
	t.Parallel()
	some := users(5)
	server := serve(t, some, func(w http.ResponseWriter, body string) {
		fmt.Fprintf(w, `{"key":"key-%s"}`, strings.Split(body, `"`)[3])
	})
	result, err := load.Run(t.Context(), server, some, load.Round{Conns: 3, Mints: 20})
	if err != nil || result.Mints != 20 || result.PerSecond() <= 0 {
		t.Errorf("got %d mints, %v", result.Mints, err)
	}
	median, longest := result.Quantile(.5), result.Quantile(1)
	if median <= 0 || longest < median || longest > result.Took {
		t.Errorf("median %s, longest %s of %s", median, longest, result.Took)
	}
}

// What is not the right answer is never measured.
func TestRunEndsWithAWrongAnswer(t *testing.T) {
	t.Parallel()
	some := users(2)
	for name, answer := range map[string]func(http.ResponseWriter, string){
		"another's key": func(w http.ResponseWriter, body string) {
			other := some[0]
			if strings.Contains(body, other.ID.String()) {
				other = some[1]
			}
			_, _ = io.WriteString(w, other.Key)
		},
		"error":     func(w http.ResponseWriter, _ string) { http.Error(w, some[0].Key+some[1].Key, http.StatusUnauthorized) },
		"no length": func(w http.ResponseWriter, _ string) { http.NewResponseController(w).Flush() },
		"no answer": func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := load.Run(t.Context(), serve(t, some, answer), some, load.Round{Conns: 2, Mints: 4}); err == nil {
				t.Error("no error")
			}
		})
	}
}
