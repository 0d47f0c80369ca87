// Package cmdtest runs coderhook between a real PostgreSQL and the fake Coder, for tests.
package cmdtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/process"
	"coderhook/coderclient/codertest"
	"coderhook/hook/webhook"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// Secret and Token have the form that the server wants, and open nothing.
const (
	Secret = "v1,whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	Token  = "AbCdEfGhIj-0123456789012345678901"
)

// Variables returns what a server starts with that reaches nobody.
func Variables() map[string]string {
	return map[string]string{
		"DATABASE_URL":         "postgres://coderhook:pa%20ss@127.0.0.1:5432/postgres",
		config.SecretsVariable: Secret,
		"CODER_URL":            "https://coder.example.com",
		"CODER_OWNER_TOKEN":    Token,
	}
}

// Build makes the program once, as it is shipped, and returns its path.
var Build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "coderhook")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "coderhook")
	return binary, process.Build(context.Background(), ".", "coderhook/cmd/coderhook", binary)
})

// Coder starts a fake Coder.
func Coder(t *testing.T) *codertest.Server {
	t.Helper()
	coder := codertest.Start(codertest.ProfileV231)
	t.Cleanup(coder.Close)
	return coder
}

// Server is a running coderhook.
type Server struct {
	*process.Server
	URL string // of the hook
}

// Start starts `coderhook serve` and waits until it listens.
func Start(t *testing.T, db *storetest.DB, coder *codertest.Server, extra ...string) *Server {
	t.Helper()
	return StartBinary(t, "", db, coder, extra...)
}

// StartBinary is Start for a program of another version; "" is the one of this version.
func StartBinary(t *testing.T, binary string, db *storetest.DB, coder *codertest.Server, extra ...string) *Server {
	t.Helper()
	if binary == "" {
		var err error
		if binary, err = Build(); err != nil {
			t.Fatal(err)
		}
	}
	server, err := process.Serve(t.Context(), binary, append([]string{
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=off", "DRAIN_DELAY=100ms", "LOG_LEVEL=debug",
		"DATABASE_URL=" + db.RoleURL("coderhook"),
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS=" + Secret,
		"CODER_URL=" + coder.URL, "CODER_OWNER_TOKEN=" + coder.OwnerToken,
	}, extra...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Kill() // it may have ended already
		if t.Failed() {
			t.Logf("log:\n%s", server.Log())
		}
	})
	return &Server{server, "http://" + server.Addr + "/hooks/custom-access-token"}
}

// Stop sends SIGTERM and waits for the end.
func (p *Server) Stop(t *testing.T) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(2 * time.Minute); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// SignedMint returns a token mint as Supabase Auth would ask for it now.
func SignedMint(ctx context.Context, url, secrets string, user uuid.UUID, email string) (*http.Request, error) {
	now := time.Now()
	body := fmt.Appendf(nil, `{"user_id":%q,"claims":{"sub":%q,"email":%q,"exp":%d,"role":"authenticated","aal":"aal1","app_metadata":{}},"authentication_method":"password"}`,
		user, user, email, now.Unix()+3600)
	header, err := webhook.Sign(secrets, uuid.NewString(), now, body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	return request, nil
}

// Mint returns the key in the claims, or the status that stands there instead.
func (p *Server) Mint(ctx context.Context, client *http.Client, user uuid.UUID, email string) (key, status string, err error) {
	return p.MintSigned(ctx, client, Secret, user, email)
}

// MintSigned mints with secrets that are not [Secret].
func (p *Server) MintSigned(ctx context.Context, client *http.Client, secrets string, user uuid.UUID, email string) (key, status string, err error) {
	request, err := SignedMint(ctx, p.URL, secrets, user, email)
	if err != nil {
		return "", "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	var answer struct {
		Claims struct {
			Metadata struct {
				Key    string `json:"api_key"`
				Status string `json:"api_key_status"`
			} `json:"app_metadata"`
		} `json:"claims"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", "", fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("status %d", response.StatusCode)
	}
	return answer.Claims.Metadata.Key, answer.Claims.Metadata.Status, nil
}

// Readiness returns what /readyz says.
func (p *Server) Readiness(t *testing.T) string {
	t.Helper()
	return Get(t, "http://"+p.Addr+"/readyz")
}

// Get returns what is there, whatever its status.
func Get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Becomes waits until /readyz says so. Its answers are shared for a second, and until the start is over the database
// counts as down: what is true by now need not be what it says.
func (p *Server) Becomes(t *testing.T, part string) {
	t.Helper()
	Eventually(t, "/readyz says "+part, func() bool { return strings.Contains(p.Readiness(t), part) })
}

// Eventually polls until it holds.
func Eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
