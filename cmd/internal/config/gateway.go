package config

import (
	"os"

	"coderhook/hook/gateway"
)

// Gateway says whether browsers use Coder through this server, and how.
type Gateway struct {
	On     bool
	Prefix string // the path before Coder's own
	Addr   string // "": where the front end's routes are
	Rules  gateway.Rules
}

// readGateway reads what the gateway needs. Without access tokens nobody could use it.
func readGateway(v *variables, c Config) Gateway {
	g := Gateway{On: v.oneOf("GATEWAY", "off", "on") == "on", Prefix: v.text("GATEWAY_PREFIX", "/coder"), Rules: readRoutes(v)}
	if v.text("GATEWAY_ADDR", "") != "" {
		g.Addr = v.port("GATEWAY_ADDR", ":8790")
	}
	if g.Addr == c.FrontEnd {
		g.Addr = ""
	}
	switch {
	case !gateway.IsPrefix(g.Prefix):
		v.fault("GATEWAY_PREFIX", "is %q; set a path like /coder, without a slash at the end, that no other route begins with", g.Prefix)
	case g.On && c.Tokens == nil:
		v.fault("GATEWAY", "is on, and nobody's access token can be verified; set SUPABASE_URL or SUPABASE_JWT_SECRET")
	case g.On && len(c.CORS.Origins) == 0:
		v.fault("GATEWAY", "is on, and no page may call it; set CORS_ORIGINS")
	}
	return g
}

// readRoutes returns the gateway's table, as a file changes it.
func readRoutes(v *variables) gateway.Rules {
	path := v.text("GATEWAY_ROUTES_FILE", "")
	if path == "" {
		return gateway.DefaultRules()
	}
	text, err := os.ReadFile(path)
	if err != nil {
		v.fault("GATEWAY_ROUTES_FILE", "%w", err)
		return nil
	}
	rules, err := gateway.ParseRules(text)
	if err != nil {
		v.fault("GATEWAY_ROUTES_FILE", "%s: %w", path, err)
	}
	return rules
}
