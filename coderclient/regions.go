package coderclient

import (
	"context"
	"fmt"
	"net/http"
)

// primaryRegion is Coder's own name for itself; no workspace proxy can have it.
const primaryRegion = "primary"

// Region is where workspace apps are served: by Coder itself, or by one of its workspace proxies.
type Region struct {
	Name             string `json:"name"`
	PathAppURL       string `json:"path_app_url"`      // the access URL; "" for a proxy that has never run
	WildcardHostname string `json:"wildcard_hostname"` // as "*.us.example.com", or ""
}

// IsProxy reports whether it is a workspace proxy.
func (r Region) IsProxy() bool { return r.Name != primaryRegion }

// Regions are Coder itself and its workspace proxies. ErrRouteNotFound on versions before them.
//
// https://coder.com/docs/reference/api/workspaceproxies#get-site-wide-regions-for-workspace-connections
func (c *Client) Regions(ctx context.Context) ([]Region, error) {
	var list struct {
		Regions []Region `json:"regions"`
	}
	err := c.do(ctx, call{
		endpoint: "regions", method: http.MethodGet, path: []string{"regions"}, token: c.token,
	}, reading(&list, func() bool { return list.Regions != nil }))
	if err != nil {
		return nil, fmt.Errorf("get regions: %w", err)
	}
	return list.Regions, nil
}
