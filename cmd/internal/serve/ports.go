package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/keypair"
	"coderhook/cmd/internal/listen"
	"coderhook/hook/metrics"
	"coderhook/hook/proof"
	"coderhook/hook/quota"
)

// ports are where Supabase Auth and browsers come in: one for both, or one for each. They share no limit.
type ports struct {
	hook     *listen.Port
	frontEnd *listen.Port // nil: browsers come in at the hook's
	gateway  *listen.Port // nil: it is off, or where the front end's routes are
}

// openPorts listens; nobody is answered yet.
func (s *server) openPorts(ctx context.Context) (p ports, err error) {
	c := s.Config
	certificate, err := s.openCertificate()
	if err != nil {
		return p, err
	}
	open := func(variable, addr string, handler http.Handler, connections, streams int) (*listen.Port, error) {
		port, err := listen.Open(ctx, addr, listen.Options{
			Handler: s.tracing.handler(handler), Certificate: certificate, Log: s.Log, Proof: proof.NewContext,
			Connections: connections, Streams: streams,
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		return port, nil
	}
	if p.hook, err = open("LISTEN_ADDR", c.Listen, s.hookHandler(), 0, 0); err != nil {
		return p, err
	}
	if c.FrontEnd != "" {
		if p.frontEnd, err = open("FRONTEND_ADDR", c.FrontEnd, s.hook.FrontEndHandler(), 0, 0); err != nil {
			return p, errors.Join(err, p.close())
		}
	}
	if s.gateway != nil && c.Gateway.Addr != "" {
		if p.gateway, err = open("GATEWAY_ADDR", c.Gateway.Addr, s.hook.HandlerOf(s.gateway), gatewayShare(listen.Descriptors()), gatewayStreams); err != nil {
			return p, errors.Join(err, p.close())
		}
	}
	return p, nil
}

// The gateway's own port is for many browsers, each with some streams that go on.
const (
	maxGateway     = 4096 // connections, and beside them requests and WebSockets that are open
	gatewayStreams = 64   // of one HTTP/2 connection; as many as one user may have open
	// sharedGateway is what may be open where sign-ins or the front end's routes are at the same port: half of its
	// connections, as one that is at work is closed for nobody.
	sharedGateway = 512
)

// gatewayShare is maxGateway, or what a process that may open few files can spare: each connection is one, each call
// has another to Coder, and each WebSocket has both.
func gatewayShare(descriptors int) int { return min(maxGateway, descriptors/4) }

// gatewayLimits are for all users together; the others are the gateway's own.
func (s *server) gatewayLimits() quota.Limits {
	share := gatewayShare(listen.Descriptors())
	if s.Config.Gateway.Addr == "" {
		share = min(share, sharedGateway)
	}
	return quota.Limits{All: share}
}

// hookHandler has the front end's routes where these have no port of their own.
func (s *server) hookHandler() http.Handler {
	if s.Config.FrontEnd == "" {
		return s.hook.Handler()
	}
	return s.hook.HookHandler()
}

// all are the ports that are open, by what they are for.
func (p ports) all() map[string]*listen.Port {
	all := map[string]*listen.Port{"hook": p.hook, "frontend": p.frontEnd, "gateway": p.gateway}
	maps.DeleteFunc(all, func(_ string, port *listen.Port) bool { return port == nil })
	return all
}

// close is for ports at which nobody was answered yet.
func (p ports) close() (err error) {
	for _, port := range p.all() {
		err = errors.Join(err, port.Close())
	}
	return err
}

// openCertificate returns nil where TLS is off.
func (s *server) openCertificate() (*keypair.Pair, error) {
	files := s.Config.Certificate
	if files.CertFile == "" {
		return nil, nil
	}
	certificate, err := keypair.Open(files.CertFile, files.KeyFile, s.Log)
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
	if p.gateway != nil {
		go p.gateway.Serve()
		s.Log.Info().Stringer("addr", p.gateway.Addr()).Msg("listening for the gateway")
	}
	go p.hook.Serve()
	s.Log.Info().Stringer("addr", p.hook.Addr()).Str("version", s.Version).Msg("listening")
}

// wait ends with ctx, or with the fault that ended a port.
func (p ports) wait(ctx context.Context) error {
	select {
	case err := <-ended(p.hook):
		return fmt.Errorf("serve: %w", err)
	case err := <-ended(p.frontEnd):
		return fmt.Errorf("serve browsers: %w", err)
	case err := <-ended(p.gateway):
		return fmt.Errorf("serve the gateway: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// ended never tells of a port that there is not.
func ended(port *listen.Port) <-chan error {
	if port == nil {
		return nil
	}
	return port.Ended()
}

// shutdown ends all of them at the same time.
func (p ports) shutdown(ctx context.Context) (err error) {
	ended := make(chan error, 3)
	for _, port := range p.all() {
		go func() { ended <- port.Shutdown(ctx) }()
	}
	for range p.all() {
		err = errors.Join(err, <-ended)
	}
	return err
}

func (p ports) describe(m *metrics.Registry) {
	for name, port := range p.all() {
		describePort(m, port, name)
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
