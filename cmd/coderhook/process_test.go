package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"coderhook/coderclient/codertest"
	"coderhook/hook"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// build makes the program once, as it is shipped.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "coderhook")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "coderhook")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
})

// process is a running coderhook.
type process struct {
	cmd   *exec.Cmd
	url   string
	ended chan error // gets the result of its end

	out bytes.Buffer // to be read after the end

	mu  sync.Mutex
	log strings.Builder
}

// startServe starts `coderhook serve` and waits until it listens.
func startServe(t *testing.T, db *storetest.DB, coder *codertest.Server, extra ...string) *process {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(binary, "serve"), ended: make(chan error, 1)}
	p.cmd.Env = append([]string{
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=off", "DRAIN_DELAY=100ms", "LOG_LEVEL=debug",
		"DATABASE_URL=" + db.RoleURL("coderhook"),
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS=" + goodSecret,
		"CODER_URL=" + coder.URL, "CODER_OWNER_TOKEN=" + coder.OwnerToken,
	}, extra...)
	p.cmd.Stdout = &p.out
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	go p.read(stderr, listening)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended already
		if t.Failed() {
			t.Logf("log:\n%s", p.text())
		}
	})
	select {
	case addr := <-listening:
		p.url = "http://" + addr + "/hooks/custom-access-token"
	case <-time.After(10 * time.Second):
		t.Fatalf("not listening:\n%s", p.text())
	}
	return p
}

func (p *process) read(log io.Reader, listening chan<- string) {
	scanner := bufio.NewScanner(log)
	for scanner.Scan() {
		var line struct{ Message, Addr string }
		_ = json.Unmarshal(scanner.Bytes(), &line) // any other line is only kept
		p.mu.Lock()
		p.log.WriteString(scanner.Text() + "\n")
		p.mu.Unlock()
		if line.Message == "listening" {
			listening <- line.Addr
		}
	}
	p.ended <- p.cmd.Wait()
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop sends SIGTERM and waits for the end.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
}

func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("did not end")
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
func (p *process) mint(ctx context.Context, client *http.Client, user uuid.UUID, email string) (key, status string, err error) {
	return p.mintSigned(ctx, client, goodSecret, user, email)
}

func (p *process) mintSigned(ctx context.Context, client *http.Client, secrets string, user uuid.UUID, email string) (key, status string, err error) {
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
