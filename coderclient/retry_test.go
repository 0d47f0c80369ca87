package coderclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

// transport answers in memory, so that tests of time can run in a bubble of their own.
type transport func(n int, r *http.Request) (*http.Response, error)

type counting struct {
	answer transport
	count  int
	times  []time.Time
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.count++
	c.times = append(c.times, time.Now())
	return c.answer(c.count, r)
}

// inMemory makes a client whose requests answer gets; the waits between them are the real ones.
func inMemory(t *testing.T, answer transport, change func(*coderclient.Config)) (*coderclient.Client, *counting) {
	t.Helper()
	counter := &counting{answer: answer}
	return newClient(t, "http://coder.example", func(cfg *coderclient.Config) {
		cfg.HTTPClient = &http.Client{Transport: counter}
		cfg.RetryDelay = nil
		if change != nil {
			change(cfg)
		}
	}), counter
}

func coderSays(status int, body string) *http.Response {
	h := http.Header{}
	h.Set("X-Coder-Build-Version", "v2.31.3")
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func rateLimited(retryAfter string) *http.Response {
	resp := coderSays(429, `{"message":"You've been rate limited."}`)
	if retryAfter != "" {
		resp.Header.Set("Retry-After", retryAfter)
	}
	return resp
}

// calls has one of each method; all of them make one request when it succeeds or is not repeated.
var calls = map[string]func(context.Context, *coderclient.Client) error{
	"GET":    func(ctx context.Context, c *coderclient.Client) error { _, err := c.User(ctx, "alice"); return err },
	"PUT":    func(ctx context.Context, c *coderclient.Client) error { _, err := c.Suspend(ctx, someID); return err },
	"DELETE": func(ctx context.Context, c *coderclient.Client) error { return c.DeleteUser(ctx, someID) },
	"POST": func(ctx context.Context, c *coderclient.Client) error {
		_, err := c.CreateUser(ctx, coderclient.NewUser{Username: "alice"})
		return err
	},
}

func TestOnlyIdempotentCallsAreRepeated(t *testing.T) {
	t.Parallel()
	faults := map[string]codertest.Fault{
		"reset":          {Reset: true},
		"500":            {Status: 500, Body: `{"message":"An internal error occurred."}`},
		"502 of a proxy": {Status: 502, Body: "<html>", Proxy: true},
		"rubbish":        {Status: 200, Body: "<html>"},
	}
	for name, fault := range faults {
		for method, call := range calls {
			s := startCoder(t, codertest.ProfileV231)
			if method != "POST" && method != "GET" && name == "rubbish" {
				continue // not every answer is read
			}
			fault.Times = 10
			s.Fail(fault)
			err := call(t.Context(), clientOf(t, s, nil))
			want := 3
			if method == "POST" {
				want = 1
			}
			if got := len(s.Requests()); got != want || !errors.Is(err, coderclient.ErrUnavailable) {
				t.Errorf("%s after %s: %d requests, want %d: %v", method, name, got, want, err)
			}
		}
	}
}

func TestRefusalsAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 405, 409, 417} {
		for method, call := range calls {
			s := startCoder(t, codertest.ProfileV231)
			s.Fail(codertest.Fault{Status: status, Body: `{"message":"No."}`})
			if err := call(t.Context(), clientOf(t, s, nil)); err == nil || len(s.Requests()) != 1 {
				t.Errorf("%s after %d: %d requests, %v", method, status, len(s.Requests()), err)
			}
		}
	}
}

func TestSecondAttemptSucceeds(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.AddUser("alice", "alice@example.test", "password")
		s.Fail(codertest.Fault{Reset: true, Nth: 1, Times: 2})
		if _, err := c.User(t.Context(), "alice"); err != nil || len(s.Requests()) != 3 {
			t.Errorf("%d requests, %v", len(s.Requests()), err)
		}
	})
}

func TestRepeatsBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, counter := inMemory(t, func(int, *http.Request) (*http.Response, error) { return coderSays(503, ""), nil }, nil)
		if _, err := c.User(t.Context(), "alice"); err == nil {
			t.Fatal("no error")
		}
		if counter.count != 3 {
			t.Fatalf("%d requests", counter.count)
		}
		first, second := counter.times[1].Sub(counter.times[0]), counter.times[2].Sub(counter.times[1])
		if first < 50*time.Millisecond || first > 150*time.Millisecond || second < 100*time.Millisecond || second > 300*time.Millisecond {
			t.Errorf("waited %v, then %v", first, second)
		}
	})
}

func TestNoWaitBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, counter := inMemory(t, func(int, *http.Request) (*http.Response, error) { return coderSays(503, ""), nil },
			func(cfg *coderclient.Config) {
				cfg.RetryDelay = func(n int) time.Duration { return time.Duration(n) * time.Second }
			})
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := c.User(ctx, "alice")
		e, _ := errors.AsType[*coderclient.Error](err)
		if counter.count != 2 || time.Since(began) != time.Second || e == nil || e.Status != 503 {
			t.Errorf("%d requests in %v: %v", counter.count, time.Since(began), err)
		}
	})
}

func TestWaitEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, counter := inMemory(t, func(int, *http.Request) (*http.Response, error) { return coderSays(503, ""), nil },
			func(cfg *coderclient.Config) { cfg.RetryDelay = func(int) time.Duration { return time.Hour } })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if _, err := c.User(ctx, "alice"); err == nil || counter.count != 1 || time.Since(began) != time.Second {
			t.Errorf("%d requests in %v: %v", counter.count, time.Since(began), err)
		}
	})
}

// TestShortRateLimitIsSatOut: a 429 was not executed, so that a POST is repeated too.
func TestShortRateLimitIsSatOut(t *testing.T) {
	t.Parallel()
	for method, call := range calls {
		synctest.Test(t, func(t *testing.T) {
			c, counter := inMemory(t, func(n int, _ *http.Request) (*http.Response, error) {
				if n == 1 {
					return rateLimited("1"), nil
				}
				return coderSays(200, someUser), nil
			}, nil)
			began := time.Now()
			if err := call(t.Context(), c); err != nil || counter.count != 2 || time.Since(began) != time.Second {
				t.Errorf("%s: %d requests in %v: %v", method, counter.count, time.Since(began), err)
			}
		})
	}
}

func TestLongRateLimitIsTheCallers(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"60": time.Minute, "": 0, "soon": 0, "-1": 0, "2": 2 * time.Second, "Sat, 01 Jan 2000 00:01:30 GMT": 90 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) { // begins at midnight, 2000-01-01
			c, counter := inMemory(t, func(int, *http.Request) (*http.Response, error) { return rateLimited(header), nil }, nil)
			_, err := c.User(t.Context(), "alice")
			e, _ := errors.AsType[*coderclient.Error](err)
			if counter.count != 1 || e == nil || e.RetryAfter != want {
				t.Errorf("%q: %d requests, %+v", header, counter.count, e)
			}
			onlyIs(t, err, coderclient.ErrRateLimited, coderclient.ErrUnavailable)
		})
	}
}

func TestRateLimitBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, counter := inMemory(t, func(int, *http.Request) (*http.Response, error) { return rateLimited("1"), nil }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := c.User(ctx, "alice")
		if counter.count != 1 || time.Since(began) != 0 || !errors.Is(err, coderclient.ErrRateLimited) {
			t.Errorf("%d requests in %v: %v", counter.count, time.Since(began), err)
		}
	})
}

func TestRealRateLimit(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		s.Configure(func(set *codertest.Settings) { set.RateLimit = 2 })
		s.AddUser("alice", "alice@example.test", "password")
		var err error
		for range 5 { // a minute may begin in between
			_, err = c.User(t.Context(), "alice")
		}
		e, _ := errors.AsType[*coderclient.Error](err)
		if !errors.Is(err, coderclient.ErrRateLimited) || e.RetryAfter != time.Minute || e.RateLimit != 2 || !c.Available() {
			t.Errorf("available %t: %v", c.Available(), err)
		}
	})
}
