package hook

import (
	"context"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient/codertest"

	"github.com/google/uuid"
)

// marking marks all goroutines that the test starts from now on, and those that these start. Tests
// run at the same time: from a mere list of goroutines nobody could tell whose they are.
func marking() (mark string) {
	mark = uuid.NewString()
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("world", mark)))
	return mark
}

// marked are the stacks of the goroutines with that mark.
func marked(t testing.TB, mark string) (stacks []string) {
	t.Helper()
	var all strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		t.Fatal(err)
	}
	label := fmt.Sprintf("# labels: {%q:%q}", "world", mark)
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, label) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// ownConnections is a client whose idle connections are closed at the end of the test, after the
// cleanups that were registered later.
func ownConnections(t testing.TB) *http.Client {
	t.Helper()
	c := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// checkLeaks finds what outlives its test. When it is called, only the fake Coder still runs.
func checkLeaks(t testing.TB, coder *codertest.Server, mark string) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections() // the test's own
	if !soon(func() bool { return coder.Connections() == 0 }) {
		t.Errorf("%d connections to Coder are left open", coder.Connections())
	}
	coder.Close()
	pprof.SetGoroutineLabels(context.Background()) // this goroutine goes on
	if !soon(func() bool { return len(marked(t, mark)) == 0 }) {
		t.Errorf("goroutines are left:\n%s", strings.Join(marked(t, mark), "\n\n"))
	}
}

// soon waits for what the end of the test has set off.
func soon(holds func() bool) bool {
	timeout := time.After(patience)
	for !holds() {
		select {
		case <-time.After(time.Millisecond):
		case <-timeout:
			return false
		}
	}
	return true
}

// Goroutines of a world are found, whoever started them, and those of others are not taken for them.
func TestMarkedGoroutines(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	mark := marking()
	go func() { go func() { <-end }() }()
	pprof.SetGoroutineLabels(context.Background())
	go func() { <-end }()
	if !soon(func() bool { return len(marked(t, mark)) == 1 }) {
		t.Errorf("found %q, want one goroutine", marked(t, mark))
	}
	close(end)
	if !soon(func() bool { return len(marked(t, mark)) == 0 }) {
		t.Errorf("%q has ended", marked(t, mark))
	}
}
