package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// call is one request that coderhook made to Coder.
type call struct {
	method, path string
	status       int
	took         time.Duration
}

// coderProxy stands between coderhook and Coder, fake or real, and sees what is asked.
type coderProxy struct {
	url    string
	server *http.Server

	mu    sync.Mutex
	calls []call
}

func startProxy(target *url.URL) (*coderProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &coderProxy{url: "http://" + listener.Addr().String()}
	p.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: p.record(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
	})}
	go func() { _ = p.server.Serve(listener) }() // it ends with close
	return p, nil
}

func (p *coderProxy) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(status, r)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls = append(p.calls, call{r.Method, r.URL.Path, status.status, time.Since(started)})
	})
}

// take returns the calls since it was last asked.
func (p *coderProxy) take() []call {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

func (p *coderProxy) close() error { return p.server.Shutdown(context.Background()) }

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
