package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/hook"

	"github.com/google/uuid"
)

// harmlessEvent is of an anonymous user who does not exist. The method makes it known in the server's log.
func (d *doctor) harmlessEvent() (event, claims []byte) {
	user, now := uuid.NewString(), d.now().Unix()
	claims = fmt.Appendf(nil, `{"aud":"authenticated","exp":%d,"iat":%d,"sub":%q,"email":"","phone":"","app_metadata":{},"user_metadata":{},"role":"authenticated","aal":"aal1","session_id":%q,"is_anonymous":true}`,
		now+60, now, user, uuid.NewString())
	return fmt.Appendf(nil, `{"user_id":%q,"claims":%s,"authentication_method":%q}`, user, claims, hook.DoctorMethod), claims
}

// call posts the event, signed at that time; without a secret it is not signed.
func (d *doctor) call(ctx context.Context, event []byte, secret string, at time.Time) (hookAnswer, error) {
	header := http.Header{}
	if secret != "" {
		var err error
		if header, err = hook.Sign(secret, uuid.NewString(), at, event); err != nil {
			return hookAnswer{}, fmt.Errorf("%s: %w", config.SecretsVariable, err)
		}
	}
	return callHook(ctx, d.url, event, header)
}

func (a hookAnswer) echoes(claims []byte) bool {
	var answer struct {
		Claims json.RawMessage `json:"claims"`
	}
	return json.Unmarshal(a.body, &answer) == nil && bytes.Equal(answer.Claims, claims)
}

// text is the server's message, or the beginning of what it said.
func (a hookAnswer) text() string {
	var refusal struct {
		Error struct{ Message string }
	}
	if json.Unmarshal(a.body, &refusal) == nil && refusal.Error.Message != "" {
		return refusal.Error.Message
	}
	return fmt.Sprintf("%.80q", a.body)
}
