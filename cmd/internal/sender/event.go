package sender

import (
	"bytes"
	"encoding/json"
	"time"

	"coderhook/hook"
	"coderhook/hook/webhook"

	"github.com/google/uuid"
)

// Mint says for whom a token is minted.
type Mint struct {
	User   uuid.UUID
	Email  string
	Method string // how the user signs in, "" for password, or what was recorded
	Now    time.Time
}

// Event makes up the body of a request.
func (m Mint) Event() ([]byte, error) {
	method := m.Method
	if method == "" {
		method = "password"
	}
	return json.Marshal(map[string]any{
		"metadata": map[string]any{"uuid": uuid.New(), "time": m.Now, "name": "customize-access-token", "ip_address": "127.0.0.1"},
		"user_id":  m.User,
		"claims": map[string]any{
			"iss": hook.SendIssuer, "sub": m.User, "aud": "authenticated",
			"exp": m.Now.Add(time.Hour).Unix(), "iat": m.Now.Unix(), "email": m.Email, "phone": "",
			"app_metadata": map[string]any{"provider": "email"}, "user_metadata": map[string]any{},
			"role": "authenticated", "aal": "aal1", "session_id": uuid.New(), "is_anonymous": false,
		},
		"authentication_method": method,
	})
}

// Replay puts the user, the e-mail address and the times of now into a recorded request, or a body alone, and leaves the
// rest as it was.
func (m Mint) Replay(recorded []byte) ([]byte, error) {
	var recording struct {
		Request struct {
			Body string `json:"body"`
		} `json:"request"`
	}
	if err := json.Unmarshal(recorded, &recording); err == nil && recording.Request.Body != "" {
		recorded = []byte(recording.Request.Body)
	}
	body, err := webhook.Replay(recorded, m.User, m.Email, m.Now)
	if err != nil || m.Method == "" {
		return body, err
	}
	return withMethod(body, m.Method)
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
