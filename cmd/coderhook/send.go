package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/sender"
	"coderhook/hook/provision"
	"coderhook/hook/webhook"

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

// event returns the body to send.
func (cmd sendCmd) event(user uuid.UUID, now time.Time) ([]byte, error) {
	mint := sender.Mint{User: user, Email: cmd.Email, Method: cmd.Method, Now: now}
	if cmd.Recorded == "" {
		return mint.Event()
	}
	recorded, err := os.ReadFile(cmd.Recorded)
	if err != nil {
		return nil, err
	}
	body, err := mint.Replay(recorded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Recorded, err)
	}
	return body, nil
}

// check refuses what no hook can be asked at.
func (cmd sendCmd) check() (uuid.UUID, error) {
	if u, err := url.Parse(cmd.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return uuid.Nil, errors.New("--url: is not a URL with http:// or https://")
	}
	return parseUser(cmd.User)
}

func (cmd sendCmd) post(env *environment, secrets string, body []byte) (sender.Answer, error) {
	header, err := webhook.Sign(secrets, uuid.NewString(), time.Now(), body)
	if err != nil {
		return sender.Answer{}, fmt.Errorf("%s: %w; %s", config.SecretsVariable, err, config.SecretCure)
	}
	answer, err := sender.Post(env.ctx, cmd.URL, body, header)
	if err != nil {
		return sender.Answer{}, fmt.Errorf("the hook did not answer: %w", err)
	}
	return answer, nil
}

// errNoClaims makes the exit status say that a sign-in would have failed.
var errNoClaims = errors.New("the answer has no claims: this sign-in would fail")

func show(w io.Writer, body []byte, answer sender.Answer) error {
	fmt.Fprintf(w, "status %d in %s, %d bytes sent, %d received\n", answer.Status, answer.Took.Round(10*time.Microsecond), len(body), len(answer.Body))
	if answer.Redirected != "" {
		fmt.Fprintf(w, "redirected to %s\n", answer.Redirected)
	}
	before, _ := sender.Claims(body)
	after, ok := sender.Claims(answer.Body)
	if !ok || answer.Status != http.StatusOK {
		fmt.Fprintf(w, "%s\n", bytes.TrimSpace(sender.Mask(answer.Body)))
		return errNoClaims
	}
	if difference := sender.Changes(before, after); difference != "" {
		fmt.Fprintf(w, "changed in the claims:\n%s", difference)
		if strings.Contains(difference, `"api_key_status": "`+string(provision.StatusReady)+`"`) {
			fmt.Fprintln(w, "the user has a key; with KEY_IN_CLAIMS=false it is not in the token, and pages use Coder through the gateway")
		}
	} else {
		fmt.Fprintln(w, "the claims came back as they were sent (the server's log says why)")
	}
	return nil
}
