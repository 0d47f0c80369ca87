// Package chain calls the project's own access-token hook, a function in Postgres that ours has displaced, as Supabase Auth
// has one slot for such hooks.
//
// It is called as Supabase Auth would call it, and what it returns is taken as Supabase Auth would take it
// (supabase/auth, internal/hooks/{hookspgfunc,hookserrors,v0hooks}): {"error":…} with a message refuses the sign-in, anything
// but {"claims":{…}} fails it. Two things differ, as we are not in the sign-in's transaction: the function does not see
// what that has not committed, and what it writes stays when the sign-in fails later.
package chain

import (
	"context"
	"encoding/json"
	"errors"

	"coderhook/hook/webhook"
)

// Function calls the hook with an event. What it did is kept only if accept takes its output; that error comes back.
type Function interface {
	CallChainHook(ctx context.Context, event []byte, accept func(output []byte) error) error
}

// Refusal is the function's word that there is to be no token.
type Refusal struct{ Answer []byte } // for Supabase Auth, as it came

func (r *Refusal) Error() string { return "the chained hook refuses the sign-in" }

var errNoClaims = errors.New("the chained hook returned no claims")

// Pass returns the event with the claims that the function makes of them. Its error is a *Refusal, or what went wrong.
func Pass(ctx context.Context, f Function, ev *webhook.Event) (passed *webhook.Event, err error) {
	err = f.CallChainHook(ctx, ev.Body, func(output []byte) (err error) {
		passed, err = read(ev, output)
		return err
	})
	if err != nil {
		return nil, err
	}
	return passed, nil
}

// read decodes as Supabase Auth does, which takes names in any case. The claims stay as they came.
func read(ev *webhook.Event, output []byte) (*webhook.Event, error) {
	var said struct {
		Error *struct {
			Code    int    `json:"http_code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(output, &said) == nil && said.Error != nil && said.Error.Message != "" {
		return nil, &Refusal{Answer: output}
	}
	var returned struct {
		Claims json.RawMessage `json:"claims"`
	}
	if err := json.Unmarshal(output, &returned); err != nil || len(returned.Claims) == 0 {
		return nil, errNoClaims // the error would quote them
	}
	return ev.Returned(returned.Claims)
}
