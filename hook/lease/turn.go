package lease

import (
	"context"
	"fmt"
	"time"

	"coderhook/store"

	"github.com/rs/zerolog"
)

// TaskTTL is how long a replica that was killed keeps the others from its task.
const TaskTTL = time.Minute

// Tasks is where replicas take turns.
type Tasks interface {
	// ClaimTask returns when the task was finished before, or [store.ErrLeased] where another replica is at it.
	// Who has the task may claim it again, which renews it.
	ClaimTask(ctx context.Context, task store.Task, ttl time.Duration) (finished time.Time, err error)
	ReleaseTask(ctx context.Context, task store.Task, finished time.Time) error
}

// Turn is a task that this replica has taken, and that one replica at a time does.
type Turn struct {
	Task     store.Task
	Last     time.Time // when it was finished before
	Finished time.Time // when it was finished now; zero: it was not

	tasks Tasks
	log   zerolog.Logger
}

// Take takes a task, or returns [store.ErrLeased] where another replica is at it.
func Take(ctx context.Context, tasks Tasks, task store.Task, log zerolog.Logger) (*Turn, error) {
	last, err := tasks.ClaimTask(ctx, task, TaskTTL)
	if err != nil {
		return nil, fmt.Errorf("take turn: %w", err)
	}
	return &Turn{Task: task, Last: last, tasks: tasks, log: log}, nil
}

// Keep renews the turn until stop is called. The context ends with [store.ErrLeased] when somebody else has it.
func (t *Turn) Keep(ctx context.Context) (_ context.Context, stop func()) {
	return keep(ctx, TaskTTL/3, store.ErrLeased, func(ctx context.Context) error {
		_, err := t.tasks.ClaimTask(ctx, t.Task, TaskTTL)
		return err
	})
}

// End gives the task back, also when ctx has ended.
func (t *Turn) End(ctx context.Context) {
	ctx, cancel := Detach(ctx)
	defer cancel()
	if err := t.tasks.ReleaseTask(ctx, t.Task, t.Finished); err != nil {
		t.log.Warn().Err(err).Str("task", t.Task.Name).Msg("task not given back: it runs out by itself")
	}
}
