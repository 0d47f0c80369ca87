package serve

import (
	"context"
	"errors"
	"testing"
)

// A replica that a fault of the configuration is about to end was never ready.
func TestServeIsNotReadyBeforeItsStartIsOver(t *testing.T) {
	t.Parallel()
	start := &startCheck{run: func(context.Context) error { return nil }}
	ready := start.before(func(context.Context) error { return nil })
	if ready(t.Context()) == nil {
		t.Error("ready before the check")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := start.Run(ended); err != nil || ready(t.Context()) == nil {
		t.Errorf("ready after a check that was cut short, error %v", err)
	}
	start.run = func(context.Context) error { return errors.New("a fault") }
	if err := start.Run(t.Context()); err == nil || ready(t.Context()) == nil {
		t.Errorf("ready after a fault, error %v", err)
	}
	start.run = func(context.Context) error { return nil }
	if err := start.Run(t.Context()); err != nil || ready(t.Context()) != nil {
		t.Errorf("not ready after the check, error %v", err)
	}
}
