package listen

import (
	"errors"
	"net"
	"os"
	"time"
)

// queue is the listener, which knows what waits in the kernel to be accepted.
type queue struct {
	*net.TCPListener
	pool *pool
}

// end closes the queue to who comes, and lets Accept close the port once the queue is empty.
func (q *queue) end() error { return q.SetDeadline(time.Now().Add(endQueue(q.TCPListener))) }

// Accept takes a connection from the queue, until its deadline: then, once nobody is left in the queue, the port is
// closed. On a busy machine the deadline passes before we come to look at the queue.
func (q *queue) Accept() (net.Conn, error) {
	c, err := q.TCPListener.Accept()
	for errors.Is(err, os.ErrDeadlineExceeded) {
		if queued(q.TCPListener) == 0 {
			return nil, errors.Join(net.ErrClosed, q.Close())
		}
		if err = q.SetDeadline(time.Now().Add(time.Second)); err == nil {
			c, err = q.TCPListener.Accept()
		}
		_ = q.SetDeadline(time.Unix(1, 0))
	}
	if err != nil {
		return nil, err
	}
	return q.pool.join(c), nil
}
