package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"sync/atomic"
	"time"

	"coderhook/hook/webhook"

	"github.com/google/uuid"
)

// HTTP is a hook that Supabase Auth posts to.
type HTTP struct {
	Addr   string // host:port
	Secret string // as for hook.Sign
	Users  []User
}

const hookPath = "/hooks/custom-access-token"

// Open signs a request for each user, and connects.
func (h HTTP) Open(ctx context.Context, n int) ([]Conn, error) {
	requests := make([]atomic.Pointer[signed], len(h.Users))
	for i := range requests {
		if _, err := h.sign(requests, i); err != nil {
			return nil, err
		}
	}
	var conns []Conn
	for range n {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", h.Addr)
		if err != nil {
			for _, open := range conns {
				err = errors.Join(err, open.Close())
			}
			return nil, err
		}
		conns = append(conns, &httpConn{conn, bufio.NewReader(conn), nil, h, requests})
	}
	return conns, nil
}

// signed is a request, and when it was signed.
type signed struct {
	text []byte
	at   time.Time
}

// goodFor is for how long a request is sent again: coderhook takes a delivery twice only for a moment.
const goodFor = 2 * time.Second

// sign replaces a user's request by one of now.
func (h HTTP) sign(requests []atomic.Pointer[signed], user int) (*signed, error) {
	text, err := h.request(h.Users[user])
	if err != nil {
		return nil, err
	}
	made := &signed{text, time.Now()}
	requests[user].Store(made)
	return made, nil
}

// request is all that goes over the wire.
func (h HTTP) request(user User) ([]byte, error) {
	header, err := webhook.Sign(h.Secret, uuid.NewString(), time.Now(), user.Event)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\n", hookPath, h.Addr, len(user.Event))
	if err := header.Write(&text); err != nil {
		return nil, err
	}
	text.WriteString("\r\n")
	text.Write(user.Event)
	return text.Bytes(), nil
}

// httpConn is a kept-alive connection.
type httpConn struct {
	net.Conn
	in       *bufio.Reader
	body     []byte
	server   HTTP
	requests []atomic.Pointer[signed] // which all connections share
}

func (c *httpConn) Mint(user int) (status int, body []byte, err error) {
	request := c.requests[user].Load()
	if time.Since(request.at) > goodFor {
		if request, err = c.server.sign(c.requests, user); err != nil {
			return 0, nil, err
		}
	}
	if _, err := c.Write(request.text); err != nil {
		return 0, nil, err
	}
	status, length, err := readHead(c.in)
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	if length > cap(c.body) {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	_, err = io.ReadFull(c.in, c.body)
	return status, c.body, err
}

var contentLength = []byte("Content-Length")

// readHead reads status and headers. All the servers say how long their answer is.
func readHead(in *bufio.Reader) (status, length int, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, 0, fmt.Errorf("not HTTP: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, fmt.Errorf("not HTTP: %q", line)
	}
	length = -1
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		line = textproto.TrimBytes(line)
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, contentLength) {
			if length, err = strconv.Atoi(string(textproto.TrimBytes(value))); err != nil {
				return 0, 0, err
			}
		}
	}
	if length < 0 {
		return 0, 0, errors.New("no Content-Length")
	}
	return status, length, nil
}
