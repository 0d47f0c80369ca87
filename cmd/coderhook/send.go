package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"coderhook/cmd/internal/claims"
	"coderhook/cmd/internal/config"
	"coderhook/hook"

	"github.com/google/uuid"
)

type sendCmd struct {
	URL      string `name:"url" required:"" help:"The hook's own URL, with its path."`
	User     string `required:"" placeholder:"UUID" help:"The Supabase user's id."`
	Email    string `default:"ada@example.com" help:"The user's e-mail in the claims."`
	Method   string `help:"How the user signs in: password, token_refresh, otp, … Without it: password, or what was recorded."`
	Recorded string `type:"existingfile" help:"A recorded request, or a body, to send instead of a made-up one; user, e-mail and times are replaced."`
}

// Run signs an event as Supabase Auth does, posts it, and shows what came back.
func (cmd sendCmd) Run(env *environment) error {
	user, err := cmd.check()
	if err != nil {
		return err
	}
	secrets, err := config.ReadSecrets(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	body, err := cmd.event(user, time.Now())
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
func (cmd sendCmd) event(user uuid.UUID, now time.Time) ([]byte, error) {
	if cmd.Recorded != "" {
		return cmd.replay(user, now)
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"uuid": uuid.New(), "time": now, "name": "customize-access-token", "ip_address": "127.0.0.1"},
		"user_id":  user,
		"claims": map[string]any{
			"iss": hook.SendIssuer, "sub": user, "aud": "authenticated",
			"exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "email": cmd.Email, "phone": "",
			"app_metadata": map[string]any{"provider": "email"}, "user_metadata": map[string]any{},
			"role": "authenticated", "aal": "aal1", "session_id": uuid.New(), "is_anonymous": false,
		},
		"authentication_method": cmp.Or(cmd.Method, "password"),
	})
}

// replay puts user, e-mail and times of now into a recorded body, and leaves the rest as it was.
func (cmd sendCmd) replay(user uuid.UUID, now time.Time) ([]byte, error) {
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
	body, err := hook.Replay(content, user, cmd.Email, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Recorded, err)
	}
	if cmd.Method != "" {
		return withMethod(body, cmd.Method)
	}
	return body, nil
}

// withMethod leaves the claims as they are.
func withMethod(event []byte, method string) ([]byte, error) {
	var fields map[string]json.RawMessage
	err := json.Unmarshal(event, &fields)
	if err != nil {
		return nil, err
	}
	if fields["authentication_method"], err = json.Marshal(method); err != nil {
		return nil, err
	}
	var changed bytes.Buffer
	encoder := json.NewEncoder(&changed)
	encoder.SetEscapeHTML(false)
	err = encoder.Encode(fields)
	return bytes.TrimSpace(changed.Bytes()), err
}

// check refuses what no hook can be asked at.
func (cmd sendCmd) check() (uuid.UUID, error) {
	if u, err := url.Parse(cmd.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return uuid.Nil, errors.New("--url: is not a URL with http:// or https://")
	}
	return parseUser(cmd.User)
}

func (cmd sendCmd) post(env *environment, secrets string, body []byte) (hookAnswer, error) {
	header, err := hook.Sign(secrets, uuid.NewString(), time.Now(), body)
	if err != nil {
		return hookAnswer{}, fmt.Errorf("%s: %w; %s", config.SecretsVariable, err, config.SecretCure)
	}
	answer, err := callHook(env.ctx, cmd.URL, body, header)
	if err != nil {
		return hookAnswer{}, fmt.Errorf("the hook did not answer: %w", err)
	}
	return answer, nil
}

// errNoClaims makes the exit status say that a sign-in would have failed.
var errNoClaims = errors.New("the answer has no claims: this sign-in would fail")

func show(w io.Writer, body []byte, answer hookAnswer) error {
	fmt.Fprintf(w, "status %d in %s, %d bytes sent, %d received\n", answer.status, answer.took.Round(10*time.Microsecond), len(body), len(answer.body))
	if answer.redirected != "" {
		fmt.Fprintf(w, "redirected to %s\n", answer.redirected)
	}
	before, _ := claims.In(body)
	after, ok := claims.In(answer.body)
	if !ok || answer.status != http.StatusOK {
		fmt.Fprintf(w, "%s\n", bytes.TrimSpace(claims.Mask(answer.body)))
		return errNoClaims
	}
	if difference := changedLines(before, after); difference != "" {
		fmt.Fprintf(w, "changed in the claims:\n%s", difference)
	} else {
		fmt.Fprintln(w, "the claims came back as they were sent (the server's log says why)")
	}
	return nil
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
func indented(object json.RawMessage) []string {
	var text bytes.Buffer
	if err := json.Indent(&text, claims.Mask(object), "", "  "); err != nil {
		return []string{string(claims.Mask(object))}
	}
	lines := strings.Split(text.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], ",")
	}
	return lines
}
