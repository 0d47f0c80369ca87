package hook

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"coderhook/hook/authtest"
)

// clocked is a world whose time only the test moves.
func clocked(t *testing.T, s settings) (*world, *authtest.Clock) {
	t.Helper()
	s.clock = authtest.NewClock()
	w := newWorld(t, s)
	w.coder.OwnerToken = w.coder.AddToken("owner", "lasting", 10*365*authtest.Day).Whole
	return w, s.clock
}

// counted lets settled know of handlers that go on when their answer is out.
func (r *replica) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.serving.Add(1)
		defer r.serving.Add(-1)
		next.ServeHTTP(w, request)
	})
}

// settled waits for what goes on after the answers.
func (r *replica) settled() {
	for r.serving.Load() > 0 {
		runtime.Gosched()
	}
	r.Provisioner.Wait()
}

// countCalls counts the requests that Coder got with this method and the end of the path.
func (w *world) countCalls(method, suffix string) (n int) {
	for _, r := range w.coder.Requests() {
		if r.Method == method && strings.HasSuffix(r.Path, suffix) {
			n++
		}
	}
	return n
}
