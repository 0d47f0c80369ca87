package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coderhook/cmd/internal/sender"
	"coderhook/hook/provision"
	"coderhook/hook/webhook"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
)

// recording is the request of a real Supabase Auth that is replayed.
const recording = "testdata/hook/02-password.json"

// mint is one token mint: what was asked and what came back.
type mint struct {
	before, after json.RawMessage // claims
	status        int
	took          time.Duration
	calls         []call
	log           logLine
}

// showMints mints twice for one user: the first makes user and key, the second finds the key.
func (s *stack) showMints(ctx context.Context) error {
	user, email := uuid.New(), "ada-"+strings.ToLower(rand.Text()[:6])+"@example.com"
	remove, err := pgserver.AddUser(ctx, s.adminURL, user, email)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, remove)
	if s.event, err = s.sampleEvent(user, email); err != nil {
		return err
	}
	first, err := s.mint(ctx)
	if err != nil {
		return err
	}
	s.out.firstMint(email, first)
	if first.gave() == "" {
		return fmt.Errorf("the sample mint gave no key; the server's log:\n%s", s.server.log())
	}
	if len(first.calls) > 0 {
		if _, err := s.server.waitFor(ctx, func(l logLine) bool { return l.Message == "key stored" }); err != nil {
			return err
		}
		s.out.line("\n  After the answer, the key was written to public.profiles.")
	}
	second, err := s.mint(ctx)
	if err != nil {
		return err
	}
	s.out.secondMint(second)
	if second.gave() != first.gave() {
		return errors.New("the second mint gave something else than the first")
	}
	return nil
}

// sampleEvent is the recorded body with another user and a life from now on.
func (s *stack) sampleEvent(user uuid.UUID, email string) ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(s.root, recording))
	if err != nil {
		return nil, err
	}
	body, err := sender.Mint{User: user, Email: email, Now: time.Now()}.Replay(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", recording, err)
	}
	return body, nil
}

// signed is a request as Supabase Auth would send it now.
func (s *stack) signed(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+s.server.address()+"/hooks/custom-access-token", bytes.NewReader(s.event))
	if err != nil {
		return nil, err
	}
	if r.Header, err = webhook.Sign(s.secret, uuid.NewString(), time.Now(), s.event); err != nil {
		return nil, fmt.Errorf("CUSTOM_ACCESS_TOKEN_HOOK_SECRETS: %w", err)
	}
	return r, nil
}

func (s *stack) mint(ctx context.Context) (mint, error) {
	r, err := s.signed(ctx)
	if err != nil {
		return mint{}, err
	}
	s.server.forget()
	s.proxy.take()
	started := time.Now()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return mint{}, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	m := mint{status: response.StatusCode, took: time.Since(started), calls: s.proxy.take()}
	if err != nil {
		return m, err
	}
	var ok bool
	m.before, _ = sender.Claims(s.event)
	if m.after, ok = sender.Claims(answer); !ok {
		return m, fmt.Errorf("status %d: %s", m.status, sender.Mask(answer))
	}
	m.log, err = s.server.waitFor(ctx, func(l logLine) bool { return l.Message == "token mint" })
	return m, err
}

// ready is what stands in the claims instead of the key, with KEY_IN_CLAIMS=false.
const ready = string(provision.StatusReady)

// gave is the Coder key in the claims that came back, or ready, or "".
func (m mint) gave() string {
	var claims struct {
		Metadata struct {
			Key    string `json:"api_key"`
			Status string `json:"api_key_status"`
		} `json:"app_metadata"`
	}
	_ = json.Unmarshal(m.after, &claims) // no key then
	if claims.Metadata.Status == ready {
		return ready
	}
	return claims.Metadata.Key
}
