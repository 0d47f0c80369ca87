// Package coderclient speaks the part of Coder's REST API that is needed to give every user an account and a key,
// for servers from 2.0 (2023) to the present.
//
// A Client repeats what may be repeated, never follows a redirect, keeps no cookies, and stops asking for a while
// when Coder is down. Its errors are *Error; tell them apart with errors.Is and the Err… values of this package.
package coderclient

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"
)

const defaultCallTimeout = 10 * time.Second

// Config says which Coder to talk to, as whom and how patiently.
type Config struct {
	URL         string          // required: base URL, http or https, may have a path prefix
	Token       func() string   // required: the owner's token, asked at every request as it can be rotated
	LoginType   string          // of new users: "auto" (default), "none", "password", "oidc" or "github"
	Scope       string          // of new tokens; default "all"
	Way         Way             // how Coder is reached
	HTTPClient  *http.Client    // optional, instead of one that goes that way; its redirect policy and cookie jar are not used
	CallTimeout time.Duration   // for one attempt; default 10 s
	RetryDelay  RetryDelay      // optional; default exponential from 100 ms, with jitter
	Breaker     BreakerSettings // zero values mean the defaults
	Observe     Observer        // optional
}

// RetryDelay says how long to wait before attempt number attempt+1; the first attempt is number 1.
type RetryDelay func(attempt int) time.Duration

// Observer is told of every attempt. The endpoint is one of a few fixed names, fit for a metric's label;
// the status is 0 when no answer came. It is called by every goroutine that makes calls.
type Observer func(endpoint string, status int, took time.Duration)

// Client is safe for concurrent use.
type Client struct {
	base      *url.URL
	token     func() string
	scope     string
	way       Way
	http      *http.Client
	timeout   time.Duration
	delay     RetryDelay
	breaker   *gobreaker.CircuitBreaker[struct{}]
	observe   Observer
	loginType loginTypes
}

// New returns a client for cfg. Its error names all faults of cfg at once. Nothing is asked of Coder yet.
func New(cfg Config) (*Client, error) {
	base, urlErr := parseBase(cfg.URL)
	if err := errors.Join(urlErr, cfg.check()); err != nil {
		return nil, err
	}
	c := &Client{
		base:      base,
		token:     cfg.Token,
		scope:     orDefault(cfg.Scope, "all"),
		way:       cfg.Way,
		http:      plainClient(cfg.HTTPClient, cfg.Way),
		timeout:   orDefault(cfg.CallTimeout, defaultCallTimeout),
		delay:     cfg.RetryDelay,
		breaker:   newBreaker(cfg.Breaker),
		observe:   cfg.Observe,
		loginType: loginTypes{wanted: orDefault(cfg.LoginType, loginAuto)},
	}
	if c.observe == nil {
		c.observe = func(string, int, time.Duration) {}
	}
	return c, nil
}

func (cfg Config) check() error {
	var faults []error
	if cfg.Token == nil {
		faults = append(faults, errors.New("coder token: missing"))
	}
	if !knownLoginType(cfg.LoginType) {
		faults = append(faults, fmt.Errorf("coder login type %q: want auto, none, password, oidc or github", cfg.LoginType))
	}
	if cfg.CallTimeout < 0 {
		faults = append(faults, errors.New("coder call timeout: negative"))
	}
	return errors.Join(faults...)
}

// parseBase never quotes the URL: it may hold a password.
func parseBase(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	switch {
	case raw == "":
		return nil, errors.New("coder URL: missing")
	case err != nil:
		return nil, errors.New("coder URL: malformed")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("coder URL: want http://host or https://host")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, errors.New("coder URL: want no user, query or fragment")
	}
	return u, nil
}

// plainClient copies hc, or makes one, without redirects and cookies. Coder sets a cookie on every answer, and a cookie that it
// takes for a session beats the token in the header.
func plainClient(hc *http.Client, way Way) *http.Client {
	plain := http.Client{}
	if hc != nil {
		plain = *hc
	} else {
		plain.Transport = way.Transport()
	}
	plain.Transport = legible{orDefault(plain.Transport, http.DefaultTransport)}
	plain.Jar = nil
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &plain
}

// legible takes out a Location that is no address. The http package would fail the call for it, though nobody follows
// it: the status would be lost, and the error would quote what may hold a key.
type legible struct{ http.RoundTripper }

func (l legible) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		if _, malformed := r.URL.Parse(resp.Header.Get("Location")); malformed != nil {
			resp.Header.Del("Location")
		}
	}
	return resp, err
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
