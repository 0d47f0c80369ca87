package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"coderhook/cmd/internal/siege/attack"
	"coderhook/hook/webhook"

	"github.com/google/uuid"
)

// Sign-ins go on meanwhile: so many at a time, with a rest after each.
const (
	signIns = 4
	rest    = 20 * time.Millisecond
)

// result is what sign-ins noticed of an attack.
type result struct {
	mu     sync.Mutex
	took   []time.Duration
	failed int
	memory int64 // the most that the server took, in bytes
}

func (r *result) String() string {
	slices.Sort(r.took)
	of := func(share float64) time.Duration {
		if len(r.took) == 0 {
			return 0
		}
		return r.took[int(share*float64(len(r.took)-1))].Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("%d | %d | %s | %s | %s | %d MiB", len(r.took)+r.failed, r.failed, of(.5), of(.99), of(1), r.memory>>20)
}

// suffer attacks a new server for so long, while sign-ins go on.
func (w *world) suffer(ctx context.Context, a attack.Attack, lasts time.Duration, apart bool) (*result, error) {
	var extra []string
	if apart {
		extra = []string{"FRONTEND_ADDR=127.0.0.1:0"}
	}
	server, err := w.serve(ctx, extra...)
	if err != nil {
		return nil, err
	}
	defer server.Kill()                                           //nolint:errcheck // its work is done
	if err := w.mint(ctx, newClient(), server.Addr); err != nil { // the user's key is made
		return nil, err
	}
	target := attack.Target{Addr: server.Addr, TLS: trusting()}
	if apart {
		target.Addr = server.FrontEnd
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan struct{})
	var attacking sync.WaitGroup
	defer attacking.Wait()
	defer cancel()
	attacking.Go(func() { a.Run(ctx, target, sync.OnceFunc(func() { close(ready) })) })
	select {
	case <-ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(time.Minute):
		return nil, fmt.Errorf("the attack does not begin")
	}
	r := new(result)
	w.signIn(ctx, server.Addr, lasts, r)
	r.memory, err = server.MostResident()
	return r, err
}

// signIn mints until the time is over.
func (w *world) signIn(ctx context.Context, addr string, lasts time.Duration, r *result) {
	end := time.Now().Add(lasts)
	var all sync.WaitGroup
	for range signIns {
		client := newClient()
		all.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				began := time.Now()
				err := w.mint(ctx, client, addr)
				r.add(time.Since(began), err)
				time.Sleep(rest)
			}
		})
	}
	all.Wait()
}

func (r *result) add(took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.took = append(r.took, took)
		return
	}
	if r.failed++; r.failed <= 3 {
		fmt.Fprintf(os.Stderr, "failed after %s: %v\n", took, err)
	}
}

// newClient is one as Supabase Auth has.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trusting()
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

// trusting takes the server's certificate, which was made for this siege.
func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func (w *world) mint(ctx context.Context, client *http.Client, addr string) error {
	now := time.Now()
	body := fmt.Appendf(nil, `{"user_id":%q,"claims":{"sub":%q,"email":%q,"exp":%d,"role":"authenticated","aal":"aal1","app_metadata":{}},"authentication_method":"password"}`,
		w.user, w.user, w.email(), now.Unix()+3600)
	header, err := webhook.Sign(w.secret, uuid.NewString(), now, body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+attack.HookPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && !bytes.Contains(text, []byte(`"api_key"`)) {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}
