package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"coderhook/hook/accesstoken"

	"github.com/google/uuid"
	"golang.org/x/sync/singleflight"
)

// keyFor is for how long a key is taken from memory. Whether it still opens anything is Coder's to say at each request.
const keyFor = 5 * time.Second

// keyCache has the keys of users who call at the moment. Its zero value is ready.
type keyCache struct {
	mu     sync.Mutex
	keys   map[keyOf]cachedKey
	swept  time.Time
	doubts singleflight.Group
}

// keyOf is whose key it is: a session that is given less must not find that of one that is given more.
type keyOf struct {
	user uuid.UUID
	kind string
}

func (c *call) keyOf() keyOf { return keyOf{c.who.User, c.who.Kind} }

type cachedKey struct {
	key     string
	until   time.Time
	doubted time.Time // when Coder's refusal of a key was last looked into, to no end
}

func (k *keyCache) get(of keyOf, now time.Time) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.keys[of]; now.Before(known.until) {
		return known.key
	}
	return ""
}

func (k *keyCache) put(of keyOf, key cachedKey, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil || now.Sub(k.swept) > time.Minute {
		kept := map[keyOf]cachedKey{}
		for of, known := range k.keys {
			if now.Before(known.until) || now.Sub(known.doubted) < keyFor {
				kept[of] = known
			}
		}
		k.keys, k.swept = kept, now
	}
	if key.doubted.IsZero() {
		key.doubted = k.keys[of].doubted
	}
	k.keys[of] = key
}

func (k *keyCache) forget(user uuid.UUID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	maps.DeleteFunc(k.keys, func(of keyOf, _ cachedKey) bool { return of.user == user })
}

// findKey finds the caller's key, or has one made as long as a browser may wait.
func (c *call) findKey() error {
	now := c.g.Now()
	if c.key = c.g.keys.get(c.keyOf(), now); c.key != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.g.KeyWait)
	defer cancel()
	key, err := c.g.Keys.Key(ctx, c.who)
	if errors.Is(err, context.DeadlineExceeded) && c.ctx.Err() == nil {
		return ErrPending
	}
	if err != nil {
		return err
	}
	c.key = key
	c.g.keys.put(c.keyOf(), cachedKey{key: key, until: now.Add(keyFor)}, now)
	return nil
}

var errStillRefused = later(http.StatusServiceUnavailable, "key-refused", accesstoken.RetryPause, "Coder does not take the user's key at the moment: try again in a few seconds")

// doubt has the key looked into that Coder refused, and takes the one that comes of it.
func (c *call) doubt() error {
	now, of, cache := c.g.Now(), c.keyOf(), &c.g.keys
	cache.mu.Lock()
	known := cache.keys[of]
	cache.mu.Unlock()
	switch {
	case known.key != "" && known.key != c.key && now.Before(known.until):
		c.key = known.key // somebody else's doubt has led to it
		return nil
	case now.Sub(known.doubted) < keyFor:
		return errStillRefused
	}
	made, err, _ := cache.doubts.Do(of.user.String()+c.key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), c.g.KeyWait)
		defer cancel()
		key, err := c.g.Keys.Doubt(ctx, c.who, c.key)
		if err != nil || key == c.key {
			cache.put(of, cachedKey{doubted: now}, now)
			return key, err
		}
		cache.put(of, cachedKey{key: key, until: now.Add(keyFor)}, now)
		return key, nil
	})
	key, _ := made.(string)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return ErrPending
	case err != nil:
		return err
	case key == c.key || key == "":
		return errStillRefused
	}
	c.key = key
	return nil
}

// repeater sends a request, and once more with a new key where Coder does not take the first.
type repeater struct{ g *Gateway }

func (t repeater) RoundTrip(r *http.Request) (*http.Response, error) {
	c := callOf(r.Context())
	// The call's own context: others have hung into it what would answer Coder's 1xx to the browser.
	r = r.WithContext(context.WithValue(c.ctx, callKey{}, c))
	resp, err := t.send(r)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !fromCoder(resp) {
		return resp, err
	}
	discard(resp)
	if err := c.doubt(); err != nil {
		return nil, err
	}
	if !c.repeats {
		return nil, later(http.StatusServiceUnavailable, "key-renewed", time.Second, "the user's key was renewed: send the request again")
	}
	t.g.counts.repeated.Inc()
	if r.GetBody != nil {
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	r.Header = r.Header.Clone()
	r.Header.Set(sessionHeader, c.key)
	resp, err = t.send(r)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		discard(resp)
		t.g.keys.put(c.keyOf(), cachedKey{doubted: t.g.Now()}, t.g.Now())
		return nil, errStillRefused
	}
	return resp, err
}

// send leaves trailers behind: they come when the header has been looked at already.
func (t repeater) send(r *http.Request) (*http.Response, error) {
	resp, err := t.g.via.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	without := *resp
	without.Trailer = nil
	return &without, nil
}

// discard reads a short answer to its end, so that its connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 16<<10)
	_ = resp.Body.Close() // read only
}
