package coderclient

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"
)

// Workspace is one of a user's.
type Workspace struct {
	ID      uuid.UUID `json:"id"`
	OwnerID uuid.UUID `json:"owner_id"`
	Name    string    `json:"name"`
	Latest  Build     `json:"latest_build"`
}

// Build is what was last done to a workspace.
type Build struct {
	Transition string `json:"transition"` // start, stop or delete
	Status     string `json:"status"`     // pending, starting, running, stopping, stopped, failed, canceling, canceled, deleting, deleted
}

// Down reports whether nothing of the workspace runs.
func (w Workspace) Down() bool { return w.Latest.Status == "stopped" || w.Latest.Status == "deleted" }

// Building reports whether Coder is at work on it. Until that has ended it takes no other build.
func (w Workspace) Building() bool {
	switch w.Latest.Status {
	case "pending", "starting", "stopping", "canceling", "deleting":
		return true
	}
	return false
}

// workspacesPage keeps an answer short: a workspace comes with all that its template made for it.
const workspacesPage = 5

// Workspaces lists the workspaces of the user of that name and id.
//
// https://coder.com/docs/reference/api/workspaces#list-workspaces
func (c *Client) Workspaces(ctx context.Context, owner User) ([]Workspace, error) {
	var mine []Workspace
	for offset := 0; ; offset += workspacesPage {
		var page struct {
			Workspaces []Workspace `json:"workspaces"`
			Count      *int        `json:"count"`
		}
		err := c.do(ctx, call{
			endpoint: "list_workspaces", method: http.MethodGet, path: []string{"workspaces"}, token: c.token,
			query: url.Values{"q": {"owner:" + owner.Username}, "limit": {strconv.Itoa(workspacesPage)}, "offset": {strconv.Itoa(offset)}},
		}, reading(&page, func() bool { return page.Count != nil }))
		if err != nil {
			return nil, fmt.Errorf("list workspaces: %w", err)
		}
		for _, w := range page.Workspaces {
			if w.OwnerID == owner.ID {
				mine = append(mine, w)
			}
		}
		if len(page.Workspaces) < workspacesPage {
			return mine, nil
		}
	}
}

// StopWorkspace begins to stop a workspace. ErrExists: Coder is still at work on it.
//
// https://coder.com/docs/reference/api/builds#create-workspace-build
func (c *Client) StopWorkspace(ctx context.Context, workspace uuid.UUID) error {
	var build Build
	err := c.do(ctx, call{
		endpoint: "stop_workspace", method: http.MethodPost,
		path: []string{"workspaces", workspace.String(), "builds"}, token: c.token,
		body: struct {
			Transition string `json:"transition"`
		}{"stop"},
	}, reading(&build, func() bool { return build.Transition == "stop" }))
	if err != nil {
		return fmt.Errorf("stop workspace: %w", err)
	}
	return nil
}

// LogOut ends the key, and with it all sessions of its user in workspace apps, whichever key they came from.
//
// https://coder.com/docs/reference/api/users#log-out-user
func (c *Client) LogOut(ctx context.Context, key string) error {
	err := c.do(ctx, call{
		endpoint: "log_out", method: http.MethodPost, path: []string{"users", "logout"},
		token: func() string { return key },
	}, nil)
	if err != nil {
		return fmt.Errorf("log out: %w", err)
	}
	return nil
}
