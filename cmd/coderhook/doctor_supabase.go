package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// checkSupabase is about how the access tokens of the two front-end routes are verified.
func (d *doctor) checkSupabase(ctx context.Context) {
	const check = "access tokens"
	if slices.Contains(d.skipped, check) {
		return
	}
	v := &variables{get: d.get}
	secret, base := v.secret("SUPABASE_JWT_SECRET"), strings.TrimRight(v.text("SUPABASE_URL", ""), "/")
	d.checkConfirmation(ctx, base)
	if base == "" {
		d.judgeSecret(secret)
		return
	}
	keys, err := fetchKeys(ctx, base)
	switch {
	case err != nil:
		d.fail(check, cure{do: "set SUPABASE_URL to the project's address, like https://PROJECT.supabase.co"}, "the project's public keys can't be read: %v", err)
	case keys == 0 && secret == "":
		d.fail(check, cure{do: "set SUPABASE_JWT_SECRET to the project's JWT secret, or move the project to asymmetric JWT signing keys"}, "the project has no public keys: it signs with a secret")
	case keys == 0:
		d.ok(check, "by SUPABASE_JWT_SECRET; the project has no public keys")
	default:
		d.ok(check, "by %d public keys of the project", keys)
	}
}

func (d *doctor) judgeSecret(secret string) {
	if secret == "" {
		d.ok("access tokens", "neither SUPABASE_URL nor SUPABASE_JWT_SECRET is set: only the hook is served")
		return
	}
	d.ok("access tokens", "by SUPABASE_JWT_SECRET")
}

// fetchKeys counts the usable keys of a project.
func fetchKeys(ctx context.Context, base string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/auth/v1/.well-known/jwks.json", nil)
	if err != nil {
		return 0, err
	}
	response, err := newHookClient().Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answers %s", request.URL.Path, response.Status)
	}
	var set struct {
		Keys []struct {
			Algorithm string `json:"alg"`
		} `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&set); err != nil {
		return 0, fmt.Errorf("%s: %w", request.URL.Path, err)
	}
	n := 0
	for _, key := range set.Keys {
		if slices.Contains([]string{"ES256", "RS256"}, key.Algorithm) {
			n++
		}
	}
	return n, nil
}
