package coderclient_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

var errNoRoute = errors.New("dial tcp: no route to host")

// failFor makes calls that fail once each.
func failFor(t *testing.T, c *coderclient.Client, times int) {
	t.Helper()
	for range times {
		if err := calls["POST"](t.Context(), c); err == nil {
			t.Fatal("no error")
		}
	}
}

// pass lets the time of a bubble go by.
func pass(d time.Duration) { <-time.After(d) }

func TestBreakerOpensAndHeals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := true
		c, counter := inMemory(t, func(int, *http.Request) (*http.Response, error) {
			if down {
				return nil, errNoRoute
			}
			return coderSays(200, `{"id":"da86e93d-527e-4967-a338-87ad7c8d0db1","username":"owner"}`), nil
		}, nil)
		failFor(t, c, 4)
		if !c.Available() {
			t.Fatal("open after four failures")
		}
		failFor(t, c, 1)
		if c.Available() {
			t.Fatal("closed after five failures")
		}
		began := time.Now()
		_, err := c.User(t.Context(), "alice")
		onlyIs(t, err, coderclient.ErrUnavailable)
		if err := c.Probe(t.Context()); err == nil || counter.count != 5 || time.Since(began) != 0 {
			t.Errorf("open: %d requests, %v", counter.count, err)
		}
		pass(2*time.Second + 1)
		if err := c.Probe(t.Context()); err == nil || counter.count != 6 || c.Available() {
			t.Errorf("still down: %d requests, %v", counter.count, err)
		}
		down = false
		pass(2*time.Second + 1)
		if c.Available() {
			t.Error("available before anybody has asked")
		}
		if err := c.Probe(t.Context()); err != nil || !c.Available() {
			t.Errorf("back: %v", err)
		}
	})
}

func TestBreakerSettings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, counter := inMemory(t, func(int, *http.Request) (*http.Response, error) { return nil, errNoRoute },
			func(cfg *coderclient.Config) {
				cfg.Breaker = coderclient.BreakerSettings{Failures: 2, CoolDown: time.Minute}
			})
		failFor(t, c, 2)
		pass(time.Minute - 1)
		failFor(t, c, 3)
		if counter.count != 2 {
			t.Errorf("%d requests", counter.count)
		}
	})
}

// TestHalfOpenLetsOneThrough: whoever comes while the one is out is not kept waiting.
func TestHalfOpenLetsOneThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hanging := false
		c, counter := inMemory(t, func(_ int, r *http.Request) (*http.Response, error) {
			if hanging {
				<-r.Context().Done()
			}
			return nil, errNoRoute
		}, nil)
		failFor(t, c, 5)
		hanging = true
		pass(2*time.Second + 1)
		go c.Probe(t.Context()) // it hangs until its timeout
		synctest.Wait()
		began := time.Now()
		_, err := c.User(t.Context(), "alice")
		onlyIs(t, err, coderclient.ErrUnavailable)
		if counter.count != 6 || time.Since(began) != 0 {
			t.Errorf("%d requests in %v", counter.count, time.Since(began))
		}
		pass(time.Minute)
	})
}

func TestProbeIsOneRequest(t *testing.T) {
	t.Parallel()
	c, counter := inMemory(t, func(_ int, r *http.Request) (*http.Response, error) {
		if r.URL.Path != "/api/v2/users/me" || r.Header.Get("Coder-Session-Token") == "" {
			t.Errorf("probed with %s", r.URL)
		}
		return nil, errNoRoute
	}, nil)
	if err := c.Probe(t.Context()); err == nil || counter.count != 1 {
		t.Errorf("%d requests, %v", counter.count, err)
	}
}

// A caller whose time is up before the request is no sign of a Coder that is down.
func TestEndedContextDoesNotCount(t *testing.T) {
	t.Parallel()
	c, counter := inMemory(t, func(int, *http.Request) (*http.Response, error) { return nil, errNoRoute }, nil)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for range 10 {
		if err := c.Probe(ctx); err == nil {
			t.Fatal("no error")
		}
	}
	if counter.count != 0 || !c.Available() {
		t.Errorf("%d requests, available %v", counter.count, c.Available())
	}
}

// TestWhatOpensTheBreaker tells a Coder that is down from one that says no.
func TestWhatOpensTheBreaker(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) transport {
		return func(int, *http.Request) (*http.Response, error) { return coderSays(status, body), nil }
	}
	for name, test := range map[string]struct {
		answer transport
		opens  bool
	}{
		"500":         {answer(500, `{"message":"An internal error occurred."}`), true},
		"503":         {answer(503, ``), true},
		"rubbish":     {answer(201, `<html>`), true},
		"redirect":    {answer(302, ``), true},
		"not Coder's": {func(int, *http.Request) (*http.Response, error) { return notCoders(), nil }, true},
		"own timeout": {func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, true},
		"400":            {answer(400, `{"message":"No."}`), false},
		"401":            {answer(401, `{"message":"No."}`), false},
		"403":            {answer(403, `{"message":"No."}`), false},
		"404":            {answer(404, `{"message":"No."}`), false},
		"409":            {answer(409, `{"message":"No."}`), false},
		"429":            {answer(429, `{"message":"No."}`), false},
		"duplicate key":  {answer(500, `{"message":"m","detail":"pq: duplicate key value"}`), false},
		"deleted user":   {answer(500, `{"message":"m","detail":"Cannot create API key for deleted user"}`), false},
		"rbac forbidden": {answer(500, `{"message":"m","detail":"rbac: forbidden"}`), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := inMemory(t, test.answer, nil)
			failFor(t, c, 5)
			if c.Available() == test.opens {
				t.Errorf("%s: available is %t", name, c.Available())
			}
		})
	}
}

func notCoders() *http.Response {
	resp := coderSays(404, "<html>")
	resp.Header.Del("X-Coder-Build-Version")
	return resp
}

// TestCancellationSaysNothing: a caller that leaves neither opens the breaker nor closes it.
func TestCancellationSaysNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, counter := inMemory(t, func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, nil)
		leave := func() {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if err := calls["POST"](ctx, c); !errors.Is(err, context.Canceled) {
				t.Fatalf("want context.Canceled: %v", err)
			}
		}
		for range 10 {
			leave()
		}
		if !c.Available() {
			t.Error("opened by callers that left")
		}
		failFor(t, c, 5)
		pass(2*time.Second + 1)
		leave()
		leave()
		if c.Available() || counter.count != 17 {
			t.Errorf("available %t after %d requests", c.Available(), counter.count)
		}
	})
}

// TestDeadlineCounts: sign-ins that run out of time because of Coder are what the breaker is for.
func TestDeadlineCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := inMemory(t, func(_ int, r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, nil)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = calls["POST"](ctx, c)
			cancel()
		}
		if c.Available() {
			t.Error("closed after five deadlines")
		}
	})
}

func TestBreakerOverTheNetwork(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	c := clientOf(t, s, func(cfg *coderclient.Config) { cfg.Breaker.CoolDown = time.Hour })
	s.Close()
	failFor(t, c, 5)
	if c.Available() {
		t.Error("closed though nobody listens")
	}
}
