package coderclient

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// BuildInfo is what a Coder server says of itself to anybody.
type BuildInfo struct {
	Version        string `json:"version"` // e.g. v2.31.3; what follows a "+" is build metadata
	DashboardURL   string `json:"dashboard_url"`
	WorkspaceProxy bool   `json:"workspace_proxy"` // true: a proxy, which has no user API

	Date time.Time `json:"-"` // Coder's clock, to the second; zero when it did not say
}

var buildInfoCall = call{endpoint: "build_info", method: http.MethodGet, path: []string{"buildinfo"}}

// BuildInfo needs no key. https://coder.com/docs/reference/api/general#build-info
func (c *Client) BuildInfo(ctx context.Context) (BuildInfo, error) {
	var info BuildInfo
	if err := c.do(ctx, buildInfoCall, info.reader()); err != nil {
		return BuildInfo{}, fmt.Errorf("build info: %w", err)
	}
	return info, nil
}

func (i *BuildInfo) reader() reader {
	read := reading(i, func() bool { return i.Version != "" })
	return func(ans answer) error {
		err := read(ans)
		i.Date, _ = http.ParseTime(ans.header.Get("Date")) // zero where it is none
		return err
	}
}
