package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"coderhook/hook"

	"github.com/google/uuid"
)

// sendTimeout is the patience of Supabase Auth.
const sendTimeout = 5 * time.Second

type sendCmd struct {
	URL      string    `name:"url" required:"" help:"The hook's own URL, with its path."`
	User     uuid.UUID `required:"" help:"The Supabase user's id."`
	Email    string    `default:"ada@example.com" help:"The user's e-mail in the claims."`
	Method   string    `default:"password" help:"How the user signs in: password, token_refresh, otp, …"`
	Recorded string    `type:"existingfile" help:"A recorded request, or a body, to send instead of a made-up one; user, e-mail and times are replaced."`
}

// Run signs an event as Supabase Auth does, posts it, and shows what came back.
func (cmd sendCmd) Run(env *environment) error {
	v := &variables{get: env.getenv}
	secrets := v.required(secretsVariable, "the secrets to sign with, as the server has them")
	if err := v.err(); err != nil {
		return configError(err)
	}
	body, err := cmd.event(time.Now())
	if err != nil {
		return err
	}
	answer, err := cmd.post(env, secrets, body)
	if err != nil {
		return err
	}
	return show(env.stdout, body, answer)
}

// event is the body to send.
func (cmd sendCmd) event(now time.Time) ([]byte, error) {
	if cmd.Recorded != "" {
		return cmd.replay(now)
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"uuid": uuid.New(), "time": now, "name": "customize-access-token", "ip_address": "127.0.0.1"},
		"user_id":  cmd.User,
		"claims": map[string]any{
			"iss": "coderhook send", "sub": cmd.User, "aud": "authenticated",
			"exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "email": cmd.Email, "phone": "",
			"app_metadata": map[string]any{"provider": "email"}, "user_metadata": map[string]any{},
			"role": "authenticated", "aal": "aal1", "session_id": uuid.New(), "is_anonymous": false,
		},
		"authentication_method": cmd.Method,
	})
}

// replay puts user, e-mail and times of now into a recorded body, and leaves the rest as it was.
func (cmd sendCmd) replay(now time.Time) ([]byte, error) {
	content, err := os.ReadFile(cmd.Recorded)
	if err != nil {
		return nil, err
	}
	var recording struct {
		Request struct {
			Body string `json:"body"`
		} `json:"request"`
	}
	if err := json.Unmarshal(content, &recording); err == nil && recording.Request.Body != "" {
		content = []byte(recording.Request.Body)
	}
	body, err := hook.Replay(content, cmd.User, cmd.Email, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Recorded, err)
	}
	return body, nil
}

// sendAnswer is what came back, and how.
type sendAnswer struct {
	status int
	body   []byte
	took   time.Duration
}

func (cmd sendCmd) post(env *environment, secrets string, body []byte) (sendAnswer, error) {
	request, err := http.NewRequestWithContext(env.ctx, http.MethodPost, cmd.URL, bytes.NewReader(body))
	if err != nil {
		return sendAnswer{}, fmt.Errorf("--url: %w", err)
	}
	if request.Header, err = hook.Sign(secrets, uuid.NewString(), time.Now(), body); err != nil {
		return sendAnswer{}, fmt.Errorf("%s: %w", secretsVariable, err)
	}
	started := time.Now()
	response, err := (&http.Client{Timeout: sendTimeout}).Do(request)
	if err != nil {
		return sendAnswer{}, fmt.Errorf("the hook did not answer: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, hook.MaxBody))
	return sendAnswer{response.StatusCode, answer, time.Since(started)}, err
}

// errNoClaims makes the exit status say that a sign-in would have failed.
var errNoClaims = errors.New("the answer has no claims: this sign-in would fail")

func show(w io.Writer, body []byte, answer sendAnswer) error {
	fmt.Fprintf(w, "status %d in %s, %d bytes sent, %d received\n", answer.status, answer.took.Round(10*time.Microsecond), len(body), len(answer.body))
	before, _ := claimsIn(body)
	after, ok := claimsIn(answer.body)
	if !ok || answer.status != http.StatusOK {
		fmt.Fprintf(w, "%s\n", bytes.TrimSpace(mask(answer.body)))
		return errNoClaims
	}
	if difference := changedLines(before, after); difference != "" {
		fmt.Fprintf(w, "changed in the claims:\n%s", difference)
	} else {
		fmt.Fprintln(w, "the claims came back as they were sent")
	}
	return nil
}

func claimsIn(body []byte) (json.RawMessage, bool) {
	var message struct {
		Claims json.RawMessage `json:"claims"`
	}
	err := json.Unmarshal(body, &message)
	return message.Claims, err == nil && len(message.Claims) > 0
}

// changedLines compares the indented claims: what is gone has a minus, what is new a plus.
func changedLines(before, after json.RawMessage) string {
	old, now := indented(before), indented(after)
	var text strings.Builder
	for _, side := range []struct {
		mark        string
		lines, than []string
	}{{"-", old, now}, {"+", now, old}} {
		there := make(map[string]bool)
		for _, line := range side.than {
			there[line] = true
		}
		for _, line := range side.lines {
			if !there[line] {
				fmt.Fprintf(&text, "  %s %s\n", side.mark, line)
			}
		}
	}
	return text.String()
}

// indented are the lines of the claims, keys masked, without the commas at their ends.
func indented(claims json.RawMessage) []string {
	var text bytes.Buffer
	if err := json.Indent(&text, mask(claims), "", "  "); err != nil {
		return []string{string(claims)}
	}
	lines := strings.Split(text.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], ",")
	}
	return lines
}
