package listen

import (
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// come adds a connection, with what its client sees of it.
func (g *pool) come(t *testing.T) (*connection, net.Conn) {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { _, _ = server.Close(), client.Close() })
	return g.join(server), client
}

func (g *pool) has(c *connection) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all[c]
}

func TestTheOldestStrangerIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newPool(4)
		first, client := g.come(t)
		second, _ := g.come(t)
		signIn, _ := g.come(t)
		atWork, _ := g.come(t)
		signIn.prove()()
		atWork.prove()
		time.Sleep(time.Hour)
		g.connState(first, http.StateActive) // heard of, after the second
		for _, gone := range []*connection{second, first} {
			time.Sleep(minSilence)
			if g.come(t); g.has(gone) || g.count() != 4 || !g.has(signIn) || !g.has(atWork) {
				t.Fatalf("%d are there; of the strangers: %v; proven: %v, %v", g.count(), g.has(gone), g.has(signIn), g.has(atWork))
			}
		}
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("it was not closed: %v", err)
		}
		if g.evicted.Load() != 2 {
			t.Errorf("%d were counted", g.evicted.Load())
		}
	})
}

// Nobody goes who has only just come: a sign-in is a stranger, too, until its signature is read.
func TestWhoComesWaitsForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newPool(4)
		came := make([]*connection, 4)
		for i := range came {
			came[i], _ = g.come(t)
			came[i].prove()
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { _ = came[2].Close() })
		if g.come(t); time.Since(began) < time.Second || g.evicted.Load() > 0 {
			t.Errorf("room after %s, %d went", time.Since(began), g.evicted.Load())
		}
	})
}

// Those that were proven go where hardly a place is left for strangers.
func TestProvenConnectionsAreClosedLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newPool(4)
		oldest, _ := g.come(t)
		oldest.prove()()
		for range 3 {
			time.Sleep(time.Second)
			c, _ := g.come(t)
			c.prove()()
		}
		time.Sleep(time.Second)
		if g.come(t); g.has(oldest) || g.count() != 4 {
			t.Errorf("the oldest: %v, of %d", g.has(oldest), g.count())
		}
	})
}

func TestIdleConnectionsAreClosedWhenItIsCrowded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newPool(8)
		idle := make([]*connection, 4)
		for i := range idle {
			idle[i], _ = g.come(t)
			g.connState(idle[i], http.StateIdle)
		}
		time.Sleep(time.Hour)
		if g.count() != 4 {
			t.Fatalf("%d of 8: nobody has to go", g.count())
		}
		active, _ := g.come(t)
		fresh, _ := g.come(t)
		g.connState(fresh, http.StateIdle)
		time.Sleep(2 * sweepInterval)
		if g.count() != 4 || !g.has(fresh) || !g.has(active) {
			t.Errorf("%d are left; fresh: %v, active: %v", g.count(), g.has(fresh), g.has(active))
		}
	})
}

// What happens to a connection that has gone changes nothing any more.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	t.Parallel()
	g := newPool(4)
	c, _ := g.come(t)
	answered := c.prove()
	_ = c.Close()
	answered()
	c.prove()()
	for _, state := range []http.ConnState{http.StateActive, http.StateIdle, http.StateActive, http.StateClosed, http.StateClosed} {
		g.connState(c, state)
	}
	if g.count() != 0 || g.isBusy() || g.strangers.Len()+g.proven.Len() != 0 {
		t.Errorf("%d are there, %d busy, %d may go", g.count(), g.busy, g.strangers.Len()+g.proven.Len())
	}
}

func TestHTTP2HasFewStreams(t *testing.T) {
	t.Parallel()
	port := openTestPort(t, testCertificate(t), 30*time.Second)
	conn := dialTLS(t, port, "h2")
	framer := http2.NewFramer(conn, conn)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := framer.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("got %v", frame)
	}
	if got, _ := settings.Value(http2.SettingMaxConcurrentStreams); got != maxStreams {
		t.Errorf("%d streams", got)
	}
	if got, _ := settings.Value(http2.SettingInitialWindowSize); got > maxStreamBytes {
		t.Errorf("%d bytes of a stream", got)
	}
}
