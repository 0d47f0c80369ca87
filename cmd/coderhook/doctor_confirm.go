package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/sender"
)

// checkConfirmation: where Coder gives an account to whoever has its address, Supabase must have asked for proof.
func (d *doctor) checkConfirmation(ctx context.Context, base string) {
	const check = "confirmed addresses"
	if !config.SingleSignOn(d.config.Coder.LoginType) {
		return
	}
	turnOff := cure{do: "turn \"Confirm email\" on in the project's Authentication settings (enable_confirmations = true under [auth.email] of a local project), or set CODER_LOGIN_TYPE=auto"}
	if base == "" {
		d.warn(check, turnOff, "CODER_LOGIN_TYPE=%s gives an account to whoever has its address; whether Supabase confirms addresses is not known without SUPABASE_URL", d.config.Coder.LoginType)
		return
	}
	auto, err := confirmsByItself(ctx, base)
	switch {
	case err != nil:
		d.warn(check, turnOff, "whether Supabase confirms addresses can't be read: %v", err)
	case auto:
		d.fail(check, turnOff, "Supabase takes every address as confirmed, and CODER_LOGIN_TYPE=%s gives an account to whoever has its address: who signs up with somebody else's address gets an account that this person's first login to Coder lands in", d.config.Coder.LoginType)
	default:
		d.ok(check, "Supabase confirms them, and nobody else gets an account")
	}
}

// confirmsByItself asks Supabase Auth, which tells it to everybody; a hosted project's gateway wants a key, though.
func confirmsByItself(ctx context.Context, base string) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/auth/v1/settings", nil)
	if err != nil {
		return false, err
	}
	response, err := sender.NewClient().Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("%s answers %s", request.URL.Path, response.Status)
	}
	var settings struct {
		Autoconfirm *bool `json:"mailer_autoconfirm"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&settings); err != nil {
		return false, fmt.Errorf("%s: %w", request.URL.Path, err)
	}
	if settings.Autoconfirm == nil {
		return false, fmt.Errorf("%s does not say", request.URL.Path)
	}
	return *settings.Autoconfirm, nil
}
