package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	stdlog "log"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"coderhook/hook/accesstoken"
)

// repeatable bounds the body of a request that may be sent twice, in bytes.
const repeatable = 64 << 10

// tuned makes connections to Coder suit: HTTP/1.1, on which all that it streams works.
func tuned(t *http.Transport) http.RoundTripper {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	t.DialContext, t.TLSHandshakeTimeout, t.Protocols = dialer.DialContext, 5*time.Second, protocols
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.IdleConnTimeout, t.DisableCompression = 256, 256, 90*time.Second, true
	t.ResponseHeaderTimeout, t.MaxResponseHeaderBytes = time.Minute, 64<<10
	return t
}

func (g *Gateway) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { g.address(pr.Out, callOf(pr.In.Context())) },
		Transport:      repeater{g},
		FlushInterval:  -1,
		ModifyResponse: func(resp *http.Response) error { return g.censor(resp, callOf(resp.Request.Context())) },
		ErrorHandler:   func(_ http.ResponseWriter, r *http.Request, err error) { callOf(r.Context()).broken(err) },
		ErrorLog:       stdlog.New(io.Discard, "", 0), // what it has to say is in the line of the request
	}
}

// Buffers for copying answers, in bytes. From the larger one on what it costs is that each byte is copied twice more;
// in a stream, which is open for long, little comes at a time.
const (
	answerBuffer = 128 << 10
	streamBuffer = 4 << 10
)

var answerBuffers, streamBuffers = newBuffers(answerBuffer), newBuffers(streamBuffer)

func newBuffers(size int) *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, size); return &b }}
}

// buffers gives a call the one that fits its answer, whose header has come by then.
type buffers struct{ c *call }

func (b buffers) Get() []byte {
	if b.c.stream.Load() {
		return *streamBuffers.Get().(*[]byte)
	}
	return *answerBuffers.Get().(*[]byte)
}

func (b buffers) Put(p []byte) {
	if len(p) == streamBuffer {
		streamBuffers.Put(&p)
		return
	}
	answerBuffers.Put(&p)
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// carryRequest passes the request on, and its answer back.
func (c *call) carryRequest() *Refusal {
	body := c.r.Body
	c.repeats = c.r.ContentLength == 0
	r := c.r.WithContext(context.WithValue(c.ctx, callKey{}, c))
	if body != nil && body != http.NoBody {
		r.Body = &slowBody{ReadCloser: body, c: c}
	}
	if n := r.ContentLength; n > 0 && n <= repeatable {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return refusal(http.StatusBadRequest, "body", "the body could not be read")
		}
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
		r.Body, _ = r.GetBody()
		c.repeats = true
	}
	proxy := *c.g.proxy
	proxy.BufferPool = buffers{c}
	proxy.ServeHTTP(c.w, r)
	return nil
}

// address makes of the browser's request the one for Coder. Of what came, only what is listed stays.
func (g *Gateway) address(out *http.Request, c *call) {
	out.URL = &url.URL{Scheme: g.base.Scheme, Host: g.base.Host, Path: g.base.Path, RawPath: g.base.RawPath, RawQuery: c.target.query}
	out.URL = joined(out.URL, c.target.path)
	out.Host = g.base.Host
	out.Header = only(requestHeaders, c.r.Header)
	if _, sent := out.Header["User-Agent"]; !sent {
		out.Header["User-Agent"] = []string{""} // else Go would send its own
	}
	if c.target.method == webSocket {
		for name, values := range only(socketHeaders, c.r.Header) {
			out.Header[name] = values
		}
	}
	for name, values := range g.Headers {
		out.Header[name] = values
	}
	out.Header.Set(sessionHeader, c.key)
	if from, err := netip.ParseAddrPort(c.r.RemoteAddr); err == nil {
		out.Header.Set("X-Forwarded-For", from.Addr().Unmap().String())
	}
	out.Trailer = nil
}

// joined puts a path, which needs no escapes, behind that of Coder's URL.
func joined(u *url.URL, path string) *url.URL {
	if u.RawPath != "" {
		u.RawPath = trimSlash(u.RawPath) + path
	}
	u.Path = trimSlash(u.Path) + path
	return u
}

func trimSlash(path string) string {
	if n := len(path); n > 0 && path[n-1] == '/' {
		return path[:n-1]
	}
	return path
}

// censor lets through of an answer what is listed. An answer that leads elsewhere, or is none of Coder's, is an error.
func (g *Gateway) censor(resp *http.Response, c *call) error {
	location := resp.Header.Get("Location")
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols:
		return refusal(http.StatusBadGateway, "upgrade", "Coder wants another protocol than it was asked for")
	case !fromCoder(resp) && g.behindLogin(resp):
		return later(http.StatusServiceUnavailable, "unavailable", accesstoken.RetryPause, "the development environment can't be reached at the moment: try again in a few seconds")
	case resp.StatusCode >= http.StatusBadGateway && !fromCoder(resp):
		return later(http.StatusServiceUnavailable, "unavailable", accesstoken.RetryPause, "the development environment can't be reached at the moment: try again in a few seconds")
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	c.stream.Store(kind == "text/event-stream" || kind == "application/x-ndjson")
	resp.Header = answerHeader(resp.Header)
	if location == "" {
		return nil
	}
	to, within := g.relocate(location)
	if !within {
		return refusal(http.StatusBadGateway, "redirect", "Coder leads to a place that is not behind the gateway")
	}
	resp.Header.Set("Location", to)
	return nil
}

// fromCoder reports whether Coder answered, and not something between it and us.
func fromCoder(resp *http.Response) bool { return resp.Header.Get("X-Coder-Build-Version") != "" }

// behindLogin reports whether a proxy that wants a login answers in Coder's place. The log says so; the page of that
// proxy is for nobody.
func (g *Gateway) behindLogin(resp *http.Response) bool {
	if g.LoginPage == nil {
		return false
	}
	err := g.LoginPage(resp)
	if err != nil {
		g.Log.Warn().Err(err).Msg("gateway: no answer of Coder's")
	}
	return err != nil
}

// broken answers where there is no answer of Coder's.
func (c *call) broken(err error) {
	switch {
	case c.bodyBroken.Load():
		c.refused(refusal(http.StatusRequestTimeout, "body", "the body did not come"))
	case context.Cause(c.ctx) != nil && !errors.Is(context.Cause(c.ctx), errEnded):
		c.w.status = 499            // as others count clients that are gone
		panic(http.ErrAbortHandler) // who only looks gone must not take an empty answer for Coder's
	case errors.Is(context.Cause(c.ctx), errEnded):
		c.refused(later(http.StatusServiceUnavailable, "ended", time.Second, "the request was ended by the server: try again"))
	default:
		c.refused(c.g.explained("no answer of Coder's", err))
	}
}

// slowBody gives up on a client that sends nothing for too long, and counts.
type slowBody struct {
	io.ReadCloser
	c *call
}

func (b *slowBody) Read(p []byte) (int, error) {
	_ = b.c.w.control.SetReadDeadline(time.Now().Add(b.c.g.SlowClient)) // not all writers of tests can
	n, err := b.ReadCloser.Read(p)
	b.c.g.counts.toCoder.Add(float64(n))
	if err != nil {
		_ = b.c.w.control.SetReadDeadline(time.Time{})
		b.c.bodyBroken.Store(!errors.Is(err, io.EOF))
	}
	return n, err
}

// answerWriter gives up on a client that takes nothing for too long, and counts.
type answerWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	g       *Gateway
	status  int
	timed   bool // by deadlines that fire also when nothing is written, as those of HTTP/2 do
}

func newAnswerWriter(w http.ResponseWriter, r *http.Request, g *Gateway) *answerWriter {
	a := &answerWriter{ResponseWriter: w, control: http.NewResponseController(w), g: g, timed: r.ProtoMajor == 2}
	_ = a.control.SetWriteDeadline(time.Time{}) // the server's own is for answers that end soon
	return a
}

// Unwrap is for http.ResponseController.
func (a *answerWriter) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answerWriter) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answerWriter) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.limit()
	n, err := a.ResponseWriter.Write(p)
	a.unlimit()
	a.g.counts.toClient.Add(float64(n))
	return n, err
}

// FlushError is for http.ResponseController.
func (a *answerWriter) FlushError() error {
	a.limit()
	defer a.unlimit()
	return a.control.Flush()
}

func (a *answerWriter) limit() { _ = a.control.SetWriteDeadline(time.Now().Add(a.g.SlowClient)) }

func (a *answerWriter) unlimit() {
	if a.timed {
		_ = a.control.SetWriteDeadline(time.Time{})
	}
}

// leftoverWait is for what is left of a body that nobody wants: the server reads some of it before it answers.
const leftoverWait = 5 * time.Second

// finish leaves some time for what the server still has to send, and to read.
func (a *answerWriter) finish() {
	if a.status != http.StatusSwitchingProtocols {
		a.limit()
		_ = a.control.SetReadDeadline(time.Now().Add(min(a.g.SlowClient, leftoverWait)))
	}
}
