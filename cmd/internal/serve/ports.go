package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/listen"
	"coderhook/hook/metrics"
	"coderhook/hook/proof"
)

// ports are where Supabase Auth and browsers come in: one for both, or one for each. They share no limit.
type ports struct {
	hook     *listen.Port
	frontEnd *listen.Port // nil: browsers come in at the hook's
}

// openPorts listens; nobody is answered yet.
func (s *server) openPorts(ctx context.Context) (p ports, err error) {
	c := s.Config
	certificate, err := s.openCertificate()
	if err != nil {
		return p, err
	}
	open := func(variable, addr string, handler http.Handler) (*listen.Port, error) {
		port, err := listen.Open(ctx, addr, listen.Options{
			Handler: s.tracing.handler(handler), Certificate: certificate, Log: s.Log, Proof: proof.NewContext,
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		return port, nil
	}
	if c.FrontEnd == "" {
		p.hook, err = open("LISTEN_ADDR", c.Listen, s.hook.Handler())
		return p, err
	}
	if p.hook, err = open("LISTEN_ADDR", c.Listen, s.hook.HookHandler()); err != nil {
		return p, err
	}
	if p.frontEnd, err = open("FRONTEND_ADDR", c.FrontEnd, s.hook.FrontEndHandler()); err != nil {
		return p, errors.Join(err, p.hook.Close())
	}
	return p, nil
}

// openCertificate returns nil where TLS is off.
func (s *server) openCertificate() (*listen.Certificate, error) {
	files := s.Config.Certificate
	if files.CertFile == "" {
		return nil, nil
	}
	certificate, err := listen.OpenCertificate(files.CertFile, files.KeyFile, s.Log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.CertificateVariables, err)
	}
	return certificate, nil
}

// serve answers at all of them.
func (s *server) serve(p ports) {
	p.describe(s.registry)
	if p.frontEnd != nil {
		go p.frontEnd.Serve()
		s.Log.Info().Stringer("addr", p.frontEnd.Addr()).Msg("listening for browsers")
	}
	go p.hook.Serve()
	s.Log.Info().Stringer("addr", p.hook.Addr()).Str("version", s.Version).Msg("listening")
}

// wait ends with ctx, or with the fault that ended a port.
func (p ports) wait(ctx context.Context) error {
	var frontEnd <-chan error // nil waits for ever
	if p.frontEnd != nil {
		frontEnd = p.frontEnd.Ended()
	}
	select {
	case err := <-p.hook.Ended():
		return fmt.Errorf("serve: %w", err)
	case err := <-frontEnd:
		return fmt.Errorf("serve browsers: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// shutdown ends all of them at the same time.
func (p ports) shutdown(ctx context.Context) error {
	if p.frontEnd == nil {
		return p.hook.Shutdown(ctx)
	}
	closed := make(chan error, 1)
	go func() { closed <- p.frontEnd.Shutdown(ctx) }()
	return errors.Join(p.hook.Shutdown(ctx), <-closed)
}

func (p ports) describe(m *metrics.Registry) {
	describePort(m, p.hook, "hook")
	if p.frontEnd != nil {
		describePort(m, p.frontEnd, "frontend")
	}
}

func describePort(m *metrics.Registry, port *listen.Port, name string) {
	labels := map[string]string{"listener": name}
	m.GaugeFunc("coderhook_connections", "Connections that are open, by listener.", labels,
		func() float64 { return float64(port.Connections()) })
	m.GaugeFunc("coderhook_connections_limit", "Connections that may be open, by listener.", labels,
		func() float64 { return float64(port.Limit()) })
	m.CounterFunc("coderhook_connections_evicted_total", "Connections that were closed to make room for others, by listener.", labels,
		func() float64 { return float64(port.Evicted()) })
}
