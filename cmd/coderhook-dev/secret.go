package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// rememberedSecret is the same at every start, so that config.toml has to be edited only once.
// Not a constant: the server listens on all interfaces, and whoever knows the secret gets keys.
func rememberedSecret() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = os.TempDir()
	}
	file := filepath.Join(dir, "coderhook-dev", "hook-secret")
	if content, err := os.ReadFile(file); err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	secret := "v1,whsec_" + base64.StdEncoding.EncodeToString(key)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", fmt.Errorf("remember the hook's secret: %w; set CUSTOM_ACCESS_TOKEN_HOOK_SECRETS instead", err)
	}
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("remember the hook's secret: %w; set CUSTOM_ACCESS_TOKEN_HOOK_SECRETS instead", err)
	}
	return secret, nil
}
