package coderclient

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a failed call means; compare with errors.Is. An error is of one kind, except that a rate limited call is also
// unavailable. A call that its own caller cancelled is of no kind but context.Canceled.
var (
	// ErrNotFound: no such user, key or organization, or not for this caller to see.
	ErrNotFound = errors.New("coder: not found")
	// ErrRouteNotFound: this version of Coder lacks the route, or the URL's path prefix is wrong.
	ErrRouteNotFound = errors.New("coder: no such route")
	// ErrExists: the name or e-mail address is taken, also when somebody else took it at the same moment.
	ErrExists = errors.New("coder: already exists")
	// ErrUserDeleted: the user is soft-deleted and can't have keys.
	ErrUserDeleted = errors.New("coder: user is deleted")
	// ErrUnauthorized: the key is unknown, expired or malformed. Coder before 2026 also says so when its own
	// database fails: ask twice before throwing a key away.
	ErrUnauthorized = errors.New("coder: key not accepted")
	// ErrInactive: the key is good but its user is suspended, or dormant where dormant users are refused.
	ErrInactive = errors.New("coder: user is not active")
	// ErrForbidden: the key lacks the right, or the server's configuration forbids it to everybody.
	ErrForbidden = errors.New("coder: forbidden")
	// ErrPasswordOff: the server lets nobody log in with a password, and so makes no users with one.
	ErrPasswordOff = errors.New("coder: password login is off")
	// ErrRateLimited: not executed; Error.RetryAfter says when to come back. It is an ErrUnavailable too.
	ErrRateLimited = errors.New("coder: rate limited")
	// ErrRefused: Coder understood and said no, in one of the ways not listed here. Repeating won't help.
	ErrRefused = errors.New("coder: refused")
	// ErrUnavailable: no answer, none that can be understood, or none that is Coder's. A request that changes
	// something may have been executed nevertheless.
	ErrUnavailable = errors.New("coder: unavailable")
)

// Texts by which Coder's answers are told apart; the statuses alone are ambiguous.
const (
	textRouteNotFound = "Route not found."
	textOldNotFound   = `"user" must be an existing uuid or username.` // 400, up to 2024
	textNoSuchOrg     = "Organization does not exist"
	textNotActive     = "User is not active"
	textDuplicateKey  = "duplicate key value"
	textOrgTwice      = "organization_members_pkey" // a duplicate, but not of the user
	textDeletedUser   = "Cannot create API key for deleted user"
	textPasswordOff   = "Password based authentication is disabled!"
	textRBAC          = "rbac: forbidden" // 500, where a newer version answers 403 or 404
)

// Error is a call that failed. Its text and fields hold no key, password or URL query.
type Error struct {
	Method      string
	Path        string // from /api/v2 on, without the query
	Status      int    // 0: no answer
	Message     string // Coder's own words, as are the next two
	Detail      string
	Validations []Validation
	RetryAfter  time.Duration // of a 429; 0 when the answer did not say
	RateLimit   int           // of a 429: how many requests Coder takes within RetryAfter; 0 when it did not say
	Err         error         // why there is no usable answer; nil when the status says it all

	version string // of the Coder that answered
}

// Validation is Coder's complaint about one field of a request.
type Validation struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Method + " " + e.Path + ":")
	if e.Status != 0 {
		b.WriteString(" " + strconv.Itoa(e.Status))
	}
	for _, text := range e.texts() {
		b.WriteString(" " + text)
	}
	return b.String()
}

func (e *Error) texts() []string {
	var texts []string
	if e.Err != nil {
		texts = append(texts, e.Err.Error())
	}
	if e.Message != "" {
		texts = append(texts, e.Message)
	}
	if e.Detail != "" {
		texts = append(texts, "("+e.Detail+")")
	}
	for _, v := range e.Validations {
		texts = append(texts, v.Field+": "+v.Detail)
	}
	return texts
}

// Unwrap gives the cause, so that errors.Is knows a context's end.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is the kind of e.
func (e *Error) Is(target error) bool {
	kind := e.kind()
	return kind == target || kind == ErrRateLimited && target == ErrUnavailable
}

func (e *Error) kind() error {
	switch {
	case errors.Is(e.Err, context.Canceled):
		return context.Canceled
	case e.Status == http.StatusTooManyRequests:
		return ErrRateLimited
	case e.Err != nil:
		return ErrUnavailable
	case e.Status >= 500:
		return e.kindOf5xx()
	case e.Status >= 400:
		return e.kindOf4xx()
	case strings.HasPrefix(e.Message, textNotActive):
		return ErrInactive // a redirect to the login page, as the next
	case e.Status >= 300:
		return ErrUnauthorized
	}
	return ErrUnavailable
}

func (e *Error) kindOf4xx() error {
	switch e.Status {
	case http.StatusUnauthorized:
		if strings.HasPrefix(e.Message, textNotActive) {
			return ErrInactive
		}
		return ErrUnauthorized
	case http.StatusForbidden:
		if strings.HasPrefix(e.Message, textPasswordOff) {
			return ErrPasswordOff
		}
		return ErrForbidden
	case http.StatusMethodNotAllowed:
		return ErrRouteNotFound
	case http.StatusConflict:
		return ErrExists
	case http.StatusNotFound:
		return e.kindOf404()
	}
	if e.Message == textOldNotFound {
		return ErrNotFound
	}
	return ErrRefused
}

func (e *Error) kindOf404() error {
	switch {
	case e.Message == textRouteNotFound:
		return ErrRouteNotFound
	case strings.HasPrefix(e.Message, textNoSuchOrg):
		return ErrRefused
	case e.Message == "":
		return ErrUnavailable
	}
	return ErrNotFound
}

// kindOf5xx knows the business answers among them.
func (e *Error) kindOf5xx() error {
	switch {
	case strings.Contains(e.Detail, textDuplicateKey) && !strings.Contains(e.Detail, textOrgTwice):
		return ErrExists
	case strings.Contains(e.Detail, textDeletedUser):
		return ErrUserDeleted
	case strings.Contains(e.Detail, textRBAC):
		return ErrForbidden
	}
	return ErrUnavailable
}
