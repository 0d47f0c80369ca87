package provision

import (
	"errors"

	"coderhook/hook/account"
)

// ErrPending: the caller's deadline passed, but the work goes on.
var ErrPending = errors.New("still being made")

// ErrStopping: asked for a key while the server is shutting down.
var ErrStopping = errors.New("the server is stopping")

// IneligibleError says that no rule gives the user's session a key.
type IneligibleError struct {
	Rule      string // that decided; "" where none held
	Reason    string // for the user to read
	Unsettled bool   // the sign-in that asks may be about to change what the rule looked at, and is not committed
}

func (e *IneligibleError) Error() string {
	if e.Rule == "" {
		return "no rule holds: " + e.Reason
	}
	return "rule " + e.Rule + ": " + e.Reason
}

// Status is the reason why a token has no key, as the client finds it in app_metadata.api_key_status.
type Status string

const (
	StatusReady       Status = "ready"        // not missing, but not in the token: it is used through the gateway
	StatusPending     Status = "pending"      // being made: refresh the session soon
	StatusUnavailable Status = "unavailable"  // anything else that failed, as Coder or the database out of reach: the log says what
	StatusConflict    Status = "conflict"     // an operator has to decide, or the user has left
	StatusNotEligible Status = "not_eligible" // by our policy: no e-mail, other role, assurance level too low, or by a rule of POLICY_FILE
)

// StatusOf returns what the client is told of why there is no key.
func StatusOf(err error) Status {
	if ineligible, ok := errors.AsType[*IneligibleError](err); ok && !ineligible.Unsettled {
		return StatusNotEligible
	} else if ok {
		return StatusPending
	}
	switch {
	case errors.Is(err, account.ErrConflict), errors.Is(err, ErrLeft):
		return StatusConflict
	case errors.Is(err, ErrPending), errors.Is(err, ErrStopping), errors.Is(err, account.ErrUnconfirmed):
		return StatusPending
	}
	return StatusUnavailable
}

// Where a key comes from.
const (
	ReasonFound = "key found" // it was there, or another request or replica made it
	ReasonMade  = "key made"
	ReasonKept  = "key kept" // Coder says that it lives longer than the ledger knew
)
