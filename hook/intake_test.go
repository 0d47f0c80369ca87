package hook

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"coderhook/hook/webhook"
)

// The largest body that matters is one whose claims fill the largest answer that Supabase Auth takes.
func TestBodyIsCapped(t *testing.T) {
	t.Parallel()
	if MaxBody < webhook.MaxAnswer+4<<10 || MaxBody > webhook.MaxAnswer+64<<10 {
		t.Errorf("bodies are read up to %d bytes", MaxBody)
	}
	for size, want := range map[int]error{0: nil, 1: nil, usualBody: nil, usualBody + 1: nil, MaxBody: nil, MaxBody + 1: errTooLarge, 10 * MaxBody: errTooLarge} {
		for _, told := range []int64{int64(size), -1} {
			in, sent := new(intake), bytes.Repeat([]byte("x"), size)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(sent))
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = told
			body, known, err := in.read(discard{}, r)
			if err != want || err == nil && !bytes.Equal(body, sent) {
				t.Errorf("%d bytes: %d, %v", size, len(body), err)
			}
			if known.end(); in.held != 0 || in.bodies.Len() != 0 {
				t.Errorf("%d bytes: %d stay held", size, in.held)
			}
		}
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// Bodies of strangers share a budget. Where it is used up, the oldest is given up; what comes then is read, and a
// sign-in among it answered.
func TestUnverifiedBodiesShareABudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient())
	user := w.db.AddUser(t, "ada@example.com")
	const crowd = 100
	part := "POST /hooks/custom-access-token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n32fff\r\n" +
		strings.Repeat("x", 0x32fff) // and nothing more
	given := make(chan *http.Response, crowd)
	for range crowd {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() { _, _ = io.WriteString(conn, part) }()
		go func() {
			if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				given <- response
			}
		}()
	}
	// Each wants to hold 208 KiB, all together more than twice the budget.
	for range crowd - maxUnverified/MaxBody {
		select {
		case response := <-given:
			if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !response.Close {
				t.Fatalf("%s %v", response.Status, response.Header)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("not given up in time")
		}
		if held := w.holds(); held > maxUnverified {
			t.Fatalf("%d bytes are held", held)
		}
	}
	if got := w.mint(t, user, "ada@example.com"); got.key(t) == "" {
		t.Errorf("the sign-in: %d %s", got.status, got.body)
	}
}

func (s *Server) holds() int {
	s.intake.mu.Lock()
	defer s.intake.mu.Unlock()
	return s.intake.held
}

// Who is given up may have been read to the end meanwhile: then it is answered, and the connection goes on.
func TestBodyIsNotGivenUpTwice(t *testing.T) {
	t.Parallel()
	in := new(intake)
	var ended []int
	bodies := make([]*arrival, 4)
	for i := range bodies {
		bodies[i] = in.begin(func() { ended = append(ended, i) })
		bodies[i].hold(maxUnverified / 4)
	}
	bodies[0].end()
	in.begin(func() { ended = append(ended, 9) }).hold(maxUnverified / 2)
	bodies[1].end()
	bodies[1].hold(1 << 30)
	if len(ended) != 1 || ended[0] != 1 || in.held != maxUnverified {
		t.Errorf("given up: %v, %d held", ended, in.held)
	}
	// One that is larger than all is given up itself.
	alone := new(intake)
	alone.begin(func() { ended = nil }).hold(maxUnverified + 1)
	if ended != nil || alone.held != 0 {
		t.Errorf("%d held", alone.held)
	}
}
