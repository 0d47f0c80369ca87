package owner

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"coderhook/coderclient"

	"github.com/rs/zerolog"
)

// Token is the token with which we may do an owner's work in Coder. One from a file is read
// again when the file changes, or when Coder does not take it any more: somebody may have put
// another there.
type Token struct {
	Path string // "" for a token that was given by value

	log     zerolog.Logger
	mu      sync.Mutex
	token   string
	seen    os.FileInfo // the file as it was when it was read
	doubted bool        // Coder answered 401
	faulty  bool        // the last try to read it failed, which was logged
}

// NewToken returns a token that was given by value.
func NewToken(token string) (*Token, error) {
	if coderclient.KeyID(token) == "" {
		return nil, errNoToken
	}
	return &Token{token: token}, nil
}

// OpenToken reads the token from a file.
func OpenToken(path string, log zerolog.Logger) (*Token, error) {
	o := &Token{Path: path, log: log}
	return o, o.read()
}

var errNoToken = errors.New("is not a Coder token (10 characters, a hyphen, 22 more); make one as an owner with: coder tokens create --lifetime 168h")

// Current is the token to be used now.
func (o *Token) Current() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.Path == "" {
		return o.token
	}
	info, err := os.Stat(o.Path)
	if err != nil || o.doubted || !sameContent(info, o.seen) {
		o.reread()
	}
	return o.token
}

func sameContent(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// reread keeps the token that was if there is none to be read: it may be about to be written.
func (o *Token) reread() {
	before := o.token
	err := o.read()
	if err != nil && !o.faulty {
		o.log.Error().Err(err).Msg("CODER_OWNER_TOKEN_FILE can't be read: going on with the token that was there")
	}
	o.faulty, o.doubted = err != nil, false
	if err == nil && o.token != before {
		o.log.Info().Str("key_id", coderclient.KeyID(o.token)).Msg("owner's token read again")
	}
}

// read takes the file's state first: what is written meanwhile looks new at the next call.
func (o *Token) read() error {
	info, err := os.Stat(o.Path)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(o.Path)
	if err != nil {
		return err
	}
	token := strings.TrimSpace(string(content))
	if coderclient.KeyID(token) == "" {
		return fmt.Errorf("%s %w", o.Path, errNoToken)
	}
	o.token, o.seen = token, info
	return nil
}

// Observe is a coderclient.Observer: a 401 to a call that was made with this token means that
// the file may hold another one.
func (o *Token) Observe(endpoint string, status int, _ time.Duration) {
	if status != http.StatusUnauthorized || endpoint == "get_me" || endpoint == "auth_redirect" {
		return // get_me and auth_redirect come with a user's key
	}
	o.doubt()
}

// doubt makes the next use read the file again.
func (o *Token) doubt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.doubted = true
}
