package main

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net/http"

	"coderhook/hook"
)

// doors are where Supabase Auth and browsers come in: one for both, or one for each. They share no limit.
type doors struct {
	hook     *frontDoor
	frontEnd *frontDoor // nil: browsers come in at the hook's
}

// openDoors listens; nobody is answered yet.
func (s *service) openDoors(ctx context.Context) (d doors, err error) {
	c := s.config
	if c.FrontEnd == "" {
		d.hook, err = s.openDoor(ctx, "LISTEN_ADDR", c.Listen, s.server.Handler())
		return d, err
	}
	if d.hook, err = s.openDoor(ctx, "LISTEN_ADDR", c.Listen, s.server.HookHandler()); err != nil {
		return d, err
	}
	if d.frontEnd, err = s.openDoor(ctx, "FRONTEND_ADDR", c.FrontEnd, s.server.FrontEndHandler()); err != nil {
		return d, errors.Join(err, d.hook.Close())
	}
	return d, nil
}

func (s *service) openDoor(ctx context.Context, variable, addr string, handler http.Handler) (*frontDoor, error) {
	door, err := openFrontDoor(ctx, addr, s.tracing.handler(handler))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	door.server.ErrorLog = stdlog.New(serverErrors{s.log}, "", 0)
	return door, nil
}

// serve answers at all of them.
func (s *service) serve(d doors, cert *certificate) {
	d.describe(s.provisioner.Metrics)
	if d.frontEnd != nil {
		go d.frontEnd.serve(cert)
		s.log.Info().Stringer("addr", d.frontEnd.Addr()).Msg("listening for browsers")
	}
	go d.hook.serve(cert)
	s.log.Info().Stringer("addr", d.hook.Addr()).Str("version", version).Msg("listening")
}

// wait ends with ctx, or with the fault that ended a door.
func (d doors) wait(ctx context.Context) error {
	var frontEnd chan error // nil waits for ever
	if d.frontEnd != nil {
		frontEnd = d.frontEnd.served
	}
	select {
	case err := <-d.hook.served:
		return fmt.Errorf("serve: %w", err)
	case err := <-frontEnd:
		return fmt.Errorf("serve browsers: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// close ends all of them at the same time.
func (d doors) close(ctx context.Context) error {
	if d.frontEnd == nil {
		return d.hook.close(ctx)
	}
	closed := make(chan error, 1)
	go func() { closed <- d.frontEnd.close(ctx) }()
	return errors.Join(d.hook.close(ctx), <-closed)
}

func (d doors) describe(m *hook.Metrics) {
	d.hook.describe(m, "hook")
	if d.frontEnd != nil {
		d.frontEnd.describe(m, "frontend")
	}
}

func (d *frontDoor) describe(m *hook.Metrics, name string) {
	labels := map[string]string{"listener": name}
	m.Gauge("coderhook_connections", "Connections that are open, by listener.", labels,
		func() float64 { return float64(d.guests.count()) })
	m.Gauge("coderhook_connections_limit", "Connections that may be open, by listener.", labels,
		func() float64 { return float64(d.guests.limit) })
	m.Counter("coderhook_connections_evicted_total", "Connections that were closed to make room for others, by listener.", labels,
		func() float64 { return float64(d.guests.evicted.Load()) })
}
