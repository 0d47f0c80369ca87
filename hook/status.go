package hook

import (
	"errors"

	"coderhook/hook/account"
)

// errPending: the caller's deadline passed, but the work goes on.
var errPending = errors.New("still being made")

// errStopping: asked for a key while the server is shutting down.
var errStopping = errors.New("the server is stopping")

// status is the reason for a missing key, as the client finds it in app_metadata.api_key_status.
type status string

const (
	statusPending     status = "pending"      // being made: refresh the session soon
	statusUnavailable status = "unavailable"  // anything else that failed, as Coder or the database out of reach: the log says what
	statusConflict    status = "conflict"     // an operator has to decide
	statusNotEligible status = "not_eligible" // by our policy: no e-mail, other role, assurance level too low
)

func statusOf(err error) status {
	switch {
	case errors.Is(err, account.ErrConflict), errors.Is(err, errLeft):
		return statusConflict
	case errors.Is(err, errPending), errors.Is(err, errStopping), errors.Is(err, account.ErrUnconfirmed):
		return statusPending
	}
	return statusUnavailable
}

// Where a key comes from.
const (
	reasonFound = "key found" // it was there, or another request or replica made it
	reasonMade  = "key made"
	reasonKept  = "key kept" // Coder says that it lives longer than the ledger knew
)
