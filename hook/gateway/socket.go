package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" // as RFC 6455 has it
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// closeGrace is how long a frame may take that is under way when its socket ends, and then the client's own
	// close frame.
	closeGrace = 2 * time.Second
	// socketBuffer is for each direction of a WebSocket, in bytes.
	socketBuffer = 4 << 10
	// maxRefusedBody bounds what is passed on of an answer that opens no WebSocket, in bytes.
	maxRefusedBody = 64 << 10
)

// carrySocket opens a WebSocket in Coder, then lets both sides talk.
func (c *call) carrySocket() *Refusal {
	c.repeats = true
	resp, err := repeater{c.g}.RoundTrip(c.socketRequest())
	if err != nil {
		c.broken(err)
		return nil
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return c.carryAnswer(resp)
	}
	coder, isStream := resp.Body.(io.ReadWriteCloser)
	protocol, offered := c.protocols.selected(tokens(resp.Header, "Sec-Websocket-Protocol"))
	if !isStream || !offered || !isAccepted(c.r.Header, resp.Header) {
		_ = resp.Body.Close() // it is of no use
		return refusal(http.StatusBadGateway, "upgrade", "Coder opened no WebSocket")
	}
	return c.tunnel(coder, resp.Header, protocol)
}

func (c *call) socketRequest() *http.Request {
	// Not the client's end, but the tunnel's: a hijacked connection tells of none.
	r := new(http.Request).WithContext(context.WithValue(c.ctx, callKey{}, c))
	r.Method, r.Proto, r.ProtoMajor, r.ProtoMinor = http.MethodGet, "HTTP/1.1", 1, 1
	c.g.address(r, c)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	if len(c.protocols.coder) > 0 {
		r.Header.Set("Sec-Websocket-Protocol", strings.Join(c.protocols.coder, ", "))
	}
	return r
}

// isAccepted reports whether the answer is to this very handshake, and not just some 101.
func isAccepted(asked, answer http.Header) bool {
	sum := sha1.Sum([]byte(asked.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return strings.EqualFold(answer.Get("Upgrade"), "websocket") &&
		answer.Get("Sec-Websocket-Accept") == base64.StdEncoding.EncodeToString(sum[:])
}

// carryAnswer passes on why Coder opens none.
func (c *call) carryAnswer(resp *http.Response) *Refusal {
	defer resp.Body.Close() // read only
	if err := c.g.censor(resp, c); err != nil {
		return refusalOf(err)
	}
	for name, values := range resp.Header {
		c.w.Header()[name] = values
	}
	c.w.Header().Del("Content-Length")
	c.w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(c.w, io.LimitReader(resp.Body, maxRefusedBody)) // the client is gone
	return nil
}

// tunnel takes over the client's connection.
func (c *call) tunnel(coder io.ReadWriteCloser, header http.Header, protocol string) *Refusal {
	defer coder.Close() // as a rule it is closed by now
	conn, buffered, err := c.w.control.Hijack()
	if err != nil {
		return c.g.explained("connection not taken over", err)
	}
	defer conn.Close()
	c.w.status = http.StatusSwitchingProtocols
	_ = conn.SetDeadline(time.Time{})
	s := &socket{client: conn, from: sent(conn, buffered.Reader), coder: coder, slow: c.g.SlowClient, toClient: c.g.counts.toClient, toCoder: c.g.counts.toCoder}
	if s.write(handshake(header, protocol)) != nil {
		return nil
	}
	c.g.counts.sockets.Inc()
	defer c.g.counts.sockets.Dec()
	if !c.onEnd(s.end) {
		s.end(*c.ended)
	}
	s.talk()
	return nil
}

// handshake is what a browser waits for.
func handshake(header http.Header, protocol string) []byte {
	text := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + header.Get("Sec-Websocket-Accept") + "\r\n"
	if protocol != "" {
		text += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	if extensions := tokens(header, "Sec-Websocket-Extensions"); len(extensions) > 0 {
		text += "Sec-WebSocket-Extensions: " + strings.Join(extensions, ", ") + "\r\n"
	}
	return []byte(text + "\r\n")
}

// sent is what the client sends, from what was read of it already on.
func sent(conn net.Conn, buffered *bufio.Reader) io.Reader {
	early, _ := buffered.Peek(buffered.Buffered()) // it is there
	if len(early) == 0 {
		return conn
	}
	return io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn)
}

// socket is a WebSocket through which both sides talk.
type socket struct {
	client            net.Conn
	from              io.Reader // the client
	coder             io.ReadWriteCloser
	slow              time.Duration
	toClient, toCoder prometheus.Counter

	deadline sync.Mutex // held while ending and the deadline for writing change
	ending   bool

	mu     sync.Mutex // held while something is written to the client
	frames frames     // to the client
	why    *ending    // a close frame of ours is to be sent
	said   bool       // and was
}

// talk lasts as long as both sides do.
func (s *socket) talk() {
	up := make(chan struct{})
	go func() {
		defer close(up)
		if s.talkUp() {
			time.AfterFunc(5*closeGrace, func() { _ = s.coder.Close() }) // Coder answers by a close frame of its own
			return
		}
		_ = s.coder.Close() // so that talkDown ends
	}()
	s.talkDown()
	_ = s.coder.Close()
	if s.close() {
		// The client's own close frame is waited for: if something of it were unread, closing would reset the
		// connection, and ours could be lost.
		_ = s.client.SetReadDeadline(time.Now().Add(closeGrace))
		if half, can := s.client.(interface{ CloseWrite() error }); can {
			_ = half.CloseWrite() // browsers wait for it
		}
	} else {
		_ = s.client.Close()
	}
	<-up
}

// talkUp copies to Coder, up to the client's close frame: it reports whether there was one. When Coder is gone, it
// reads on for that.
func (s *socket) talkUp() bool {
	buffer := make([]byte, socketBuffer)
	gone := false
	var up frames
	for {
		n, err := s.from.Read(buffer)
		for begin := 0; begin < n && !(up.closed && up.atBoundary()); {
			begin += up.advance(buffer[begin:n])
		}
		if n > 0 && !gone {
			s.toCoder.Add(float64(n))
			_, failed := s.coder.Write(buffer[:n])
			gone = failed != nil
		}
		if up.closed && up.atBoundary() {
			return true
		}
		if err != nil {
			return false
		}
	}
}

// talkDown copies to the client, until a close frame of ours is sent.
func (s *socket) talkDown() {
	buffer := make([]byte, socketBuffer)
	for {
		n, err := s.coder.Read(buffer)
		if n > 0 && !s.pass(buffer[:n]) || err != nil {
			return
		}
	}
}

// pass writes what came from Coder; false: nothing more may follow.
func (s *socket) pass(p []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for begin := 0; begin < len(p); {
		if s.sayClose() {
			return false
		}
		end := begin + s.frames.advance(p[begin:])
		for s.why == nil && end < len(p) {
			end += s.frames.advance(p[end:])
		}
		if s.write(p[begin:end]) != nil {
			return false
		}
		s.toClient.Add(float64(end - begin))
		begin = end
	}
	return !s.sayClose()
}

// sayClose sends our close frame if there is to be one, and one may stand here. It reports whether it was sent.
func (s *socket) sayClose() bool {
	if s.why != nil && !s.said && !s.frames.closed && s.frames.atBoundary() {
		s.said = s.write(closeFrame(*s.why)) == nil
	}
	return s.said
}

// write gives up on a client that takes nothing for too long. When the socket ends, that is soon.
func (s *socket) write(p []byte) error {
	s.deadline.Lock()
	if !s.ending {
		_ = s.client.SetWriteDeadline(time.Now().Add(s.slow)) // a write fails then, too
	}
	s.deadline.Unlock()
	_, err := s.client.Write(p)
	return err
}

// end closes the socket in good order, or after closeGrace without.
func (s *socket) end(why ending) {
	s.deadline.Lock()
	s.ending = true
	_ = s.client.SetWriteDeadline(time.Now().Add(closeGrace))
	s.deadline.Unlock()
	s.mu.Lock()
	s.why = &why
	said := s.sayClose()
	s.mu.Unlock()
	if said {
		_ = s.coder.Close()
		return
	}
	time.AfterFunc(closeGrace, func() { _ = s.coder.Close() }) // a frame is under way
}

// close reports whether the client has been told of the end. Where Coder went without a word, we say so.
func (s *socket) close() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		s.why = &endCoder
	}
	return s.frames.closed || s.sayClose()
}
