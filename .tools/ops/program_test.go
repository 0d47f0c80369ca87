package ops

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const root = "../.."

// program is coderhook, built once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "coderhook-ops")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "coderhook")
	build := exec.Command("go", "build", "-o", binary, "./cmd/coderhook")
	build.Dir, build.Stderr = root, os.Stderr
	return binary, build.Run()
})

func TestMain(m *testing.M) {
	status := m.Run()
	if binary, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(status)
}

// contents are of the files that variables with _FILE name.
var contents = map[string]string{
	"database-url": "postgres://coderhook:x@127.0.0.1:1/postgres", "hook-secrets": "v1,whsec_3v1ZC4p0qYJx8m2Tn6sQwR9uXkLbHgEf",
	"ledger-secret": "VtZ0m3xq8c1Rj5Yw7Ua2Kd9Ge4Lh6Pb0", "owner-token": "AbCdEfGhIj-0123456789012345678901",
	"routes":              "refuse * /api/v2/files/**\n",
	"key-encryption-keys": "plain|AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "coder-headers": "CF-Access-Client-Id: id\n", "otlp-headers": "authorization=Basic%20abc",
	"policy.yaml": "rules:\n- name: everybody\n  when: true\n  give: {}\n",
}

// contentOf returns "" for what is no file of these.
func contentOf(t *testing.T, path string) string {
	t.Helper()
	switch {
	case !filepath.IsAbs(path):
		return ""
	case strings.HasSuffix(path, ".crt"):
		certificate, _ := pair(t)
		return certificate
	case strings.HasSuffix(path, ".key"):
		_, key := pair(t)
		return key
	}
	return contents[filepath.Base(path)]
}

// pair is a certificate and its key, in PEM, the same ones each time.
func pair(t *testing.T) (certificate, key string) {
	t.Helper()
	all, err := keyPair()
	if err != nil {
		t.Fatal(err)
	}
	return all[0], all[1]
}

var keyPair = sync.OnceValues(func() (both [2]string, _ error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return both, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return both, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	for i, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: certificate}, {Type: "PRIVATE KEY", Bytes: secret}} {
		both[i] = string(pem.EncodeToMemory(block))
	}
	return both, err
})

// mustStart asks the program itself whether it would start with these variables. Files that they name are put where
// it can read them.
func mustStart(t *testing.T, variables map[string]string) {
	t.Helper()
	dir := t.TempDir()
	var env []string
	for name, value := range variables {
		if content := contentOf(t, value); content != "" {
			value = filepath.Join(dir, filepath.Base(value))
			if err := os.WriteFile(value, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		env = append(env, name+"="+value)
	}
	binary, err := program()
	if err != nil {
		t.Fatal(err)
	}
	doctor := exec.CommandContext(t.Context(), binary, "doctor", "--json")
	doctor.Env = env
	out, _ := doctor.Output() // it fails, as nothing of what it looks at is there
	var report struct {
		Checks []struct{ Check, Result, Found string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	good := false
	for _, check := range report.Checks {
		good = good || check.Check == "variables" && check.Result == "ok"
		if strings.HasPrefix(check.Check, "variable ") {
			t.Errorf("%s: %s", check.Check, check.Found)
		}
	}
	if !good {
		t.Errorf("the variables are not taken: %s", out)
	}
}
