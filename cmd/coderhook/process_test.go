package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/process"
	"coderhook/coderclient/codertest"
	"coderhook/hook"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	goodSecret = "v1,whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	goodToken  = "AbCdEfGhIj-0123456789012345678901"
)

// goodVariables are what a server starts with that reaches nobody.
func goodVariables() map[string]string {
	return map[string]string{
		"DATABASE_URL":         "postgres://coderhook:pa%20ss@127.0.0.1:5432/postgres",
		config.SecretsVariable: goodSecret,
		"CODER_URL":            "https://coder.example.com",
		"CODER_OWNER_TOKEN":    goodToken,
	}
}

// build makes the program once, as it is shipped.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "coderhook")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "coderhook")
	return binary, process.Build(context.Background(), ".", ".", binary)
})

// served is a running coderhook.
type served struct {
	*process.Server
	url string
}

// startServe starts `coderhook serve` and waits until it listens.
func startServe(t *testing.T, db *storetest.DB, coder *codertest.Server, extra ...string) *served {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	server, err := process.Serve(t.Context(), binary, append([]string{
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=off", "DRAIN_DELAY=100ms", "LOG_LEVEL=debug",
		"DATABASE_URL=" + db.RoleURL("coderhook"),
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS=" + goodSecret,
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
	return &served{server, "http://" + server.Addr + "/hooks/custom-access-token"}
}

// stop sends SIGTERM and waits for the end.
func (p *served) stop(t *testing.T) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(20 * time.Second); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// signedMint is a token mint as Supabase Auth would ask for it now.
func signedMint(ctx context.Context, url, secrets string, user uuid.UUID, email string) (*http.Request, error) {
	now := time.Now()
	body := fmt.Appendf(nil, `{"user_id":%q,"claims":{"sub":%q,"email":%q,"exp":%d,"role":"authenticated","aal":"aal1","app_metadata":{}},"authentication_method":"password"}`,
		user, user, email, now.Unix()+3600)
	header, err := hook.Sign(secrets, uuid.NewString(), now, body)
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

// mint returns the key in the claims, or the status that stands there instead.
func (p *served) mint(ctx context.Context, client *http.Client, user uuid.UUID, email string) (key, status string, err error) {
	return p.mintSigned(ctx, client, goodSecret, user, email)
}

func (p *served) mintSigned(ctx context.Context, client *http.Client, secrets string, user uuid.UUID, email string) (key, status string, err error) {
	request, err := signedMint(ctx, p.url, secrets, user, email)
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

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
