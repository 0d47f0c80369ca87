package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/sender"
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
func (d *doctor) call(ctx context.Context, event []byte, secret string, at time.Time) (sender.Answer, error) {
	header := http.Header{}
	if secret != "" {
		var err error
		if header, err = hook.Sign(secret, uuid.NewString(), at, event); err != nil {
			return sender.Answer{}, fmt.Errorf("%s: %w", config.SecretsVariable, err)
		}
	}
	return sender.Post(ctx, d.url, event, header)
}
