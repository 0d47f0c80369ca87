package hook

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"coderhook/hook/webhook"

	"github.com/labstack/echo/v4"
)

// MaxBody is how many bytes of a request are read at most. What Supabase Auth sends is the claims, which we send back,
// with some hundred bytes around them; and it takes no answer over [webhook.MaxAnswer].
const MaxBody = webhook.MaxAnswer + 8<<10

// maxUnverified is how many bytes all bodies whose signature is not verified yet may hold together.
const maxUnverified = 8 << 20

// usualBody has room for most events, in bytes. What a sender says of the length is not believed before the signature.
const usualBody = 2 << 10

var (
	errTooLarge = echo.NewHTTPError(http.StatusRequestEntityTooLarge,
		fmt.Sprintf("the body is larger than %d KiB: Supabase Auth would not take the answer", MaxBody>>10))
	errUnread  = echo.NewHTTPError(http.StatusBadRequest, "the body could not be read")
	errCrowded = echo.NewHTTPError(http.StatusServiceUnavailable, "too many bodies are on their way: send it again")
)

// intake reads bodies whose senders are not known yet. Where they hold too much together nobody waits: the body that
// has been on its way for longest is given up. One of Supabase Auth is complete within milliseconds. Its zero value is
// ready.
type intake struct {
	mu     sync.Mutex
	held   int       // bytes
	bodies list.List // of *arrival, the oldest first
}

// arrival is a body that is on its way, or whose signature is not verified yet.
type arrival struct {
	intake  *intake
	giveUp  func() // ends a read that waits
	size    int    // bytes that it holds
	place   *list.Element
	crowded bool // it was given up
}

// read returns the body, and its arrival, which ends once it is known whose it is.
func (in *intake) read(w http.ResponseWriter, r *http.Request) (body []byte, u *arrival, err error) {
	if r.ContentLength > MaxBody {
		return nil, nil, errTooLarge
	}
	// A deadline in the past ends a read at once.
	u = in.begin(func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) })
	if body, err = u.read(http.MaxBytesReader(w, r.Body, MaxBody)); err != nil && u.wasCrowded() {
		w.Header().Set(echo.HeaderConnection, "close")
		w.Header().Set(echo.HeaderRetryAfter, "1") // Supabase Auth repeats it at once
		err = errCrowded
	}
	return body, u, err
}

func (u *arrival) read(from io.Reader) ([]byte, error) {
	u.hold(usualBody)
	body := make([]byte, 0, usualBody)
	for {
		n, err := from.Read(body[len(body):cap(body)])
		if body = body[:len(body)+n]; err != nil {
			return body, readFault(err)
		}
		if len(body) == cap(body) {
			size := min(2*cap(body), MaxBody+1) // one more, to see the end
			u.hold(size - cap(body))
			body = append(make([]byte, 0, size), body...)
		}
	}
}

// readFault says what the end of a body means; the usual one is none.
func readFault(err error) error {
	if err == io.EOF {
		return nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	return errUnread
}

func (in *intake) begin(giveUp func()) *arrival {
	u := &arrival{intake: in, giveUp: giveUp}
	in.mu.Lock()
	defer in.mu.Unlock()
	u.place = in.bodies.PushBack(u)
	return u
}

// hold takes more bytes, from others that came before where there are not enough.
func (u *arrival) hold(more int) {
	in := u.intake
	in.mu.Lock()
	defer in.mu.Unlock()
	if u.crowded {
		return
	}
	u.size += more
	in.held += more
	for in.held > maxUnverified {
		oldest := in.bodies.Front().Value.(*arrival)
		oldest.crowded = true
		oldest.leave()
		oldest.giveUp() // under the lock: later its connection may carry another request
	}
}

// end gives back what the body holds. It can be called again, and of one that never began.
func (u *arrival) end() {
	if u == nil {
		return
	}
	u.intake.mu.Lock()
	defer u.intake.mu.Unlock()
	u.leave()
}

func (u *arrival) leave() {
	if u.place != nil {
		u.intake.bodies.Remove(u.place)
		u.intake.held -= u.size
		u.place = nil
	}
}

func (u *arrival) wasCrowded() bool {
	u.intake.mu.Lock()
	defer u.intake.mu.Unlock()
	return u.crowded
}
