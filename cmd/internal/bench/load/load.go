// Package load asks a hook for tokens as fast as it answers, checks every answer, and measures how long each took.
//
// The loop is closed: a connection asks again when it has its answer. What asks shares the machine with what is
// asked, so it does as little as it can: requests are built and signed before the clock starts.
package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// User is somebody who signs in.
type User struct {
	ID    uuid.UUID
	Email string
	Key   string // which the answer has to carry
	Event []byte // what Supabase Auth posts
}

// Server is something that does the hook's work.
type Server interface {
	// Open gets n connections ready.
	Open(ctx context.Context, n int) ([]Conn, error)
}

// Conn asks one thing at a time.
type Conn interface {
	// Mint asks for the token of the user of that number, and returns the answer's status and body, which is only
	// good until the next call.
	Mint(user int) (status int, body []byte, err error)
	Close() error
}

// Round says how long to ask: until the time is over, or so many tokens are minted if that is more than none.
type Round struct {
	Conns int
	For   time.Duration
	Mints int
}

// Run asks for one round, and ends with the first wrong answer.
func Run(ctx context.Context, server Server, users []User, round Round) (Result, error) {
	conns, err := server.Open(ctx, round.Conns)
	if err != nil {
		return Result{}, err
	}
	var (
		clients sync.WaitGroup
		asked   atomic.Int64
		parts   = make([]part, len(conns))
		faults  = make([]error, len(conns))
	)
	started := time.Now()
	more := func() bool {
		if round.Mints > 0 {
			return asked.Add(1) <= int64(round.Mints) && ctx.Err() == nil
		}
		return time.Since(started) < round.For && ctx.Err() == nil
	}
	for i, conn := range conns {
		clients.Go(func() {
			// Each begins with other users, so that no two ask for the same one at once.
			parts[i], faults[i] = client(conn, users, i*len(users)/len(conns), more)
			faults[i] = errors.Join(faults[i], conn.Close())
		})
	}
	clients.Wait()
	result := newResult(parts, time.Since(started))
	if err := errors.Join(append(faults, ctx.Err())...); err != nil || result.Mints > 0 {
		return result, err
	}
	return result, errors.New("not one answer in the time of a round")
}

// part is how long each answer took on one connection.
type part []time.Duration

func client(conn Conn, users []User, first int, more func() bool) (part, error) {
	took := make(part, 0, 1<<16)
	for n := first; more(); n++ {
		user := n % len(users)
		asked := time.Now()
		status, body, err := conn.Mint(user)
		if err != nil {
			return took, err
		}
		took = append(took, time.Since(asked))
		if status != http.StatusOK || !bytes.Contains(body, []byte(users[user].Key)) {
			return took, fmt.Errorf("status %d, or not the key of user %s: %s", status, users[user].ID, body)
		}
	}
	return took, nil
}
