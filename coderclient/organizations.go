package coderclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Organization is one that users can be members of.
type Organization struct {
	ID        uuid.UUID `json:"id"`
	Name      string    `json:"name"`
	IsDefault bool      `json:"is_default"` // false on versions up to 2.1, which do not say
	CreatedAt time.Time `json:"created_at"`

	MemberRoles []string `json:"default_org_member_roles"` // that every member has; since 2.36
}

func (o *Organization) reader() reader {
	return reading(o, func() bool { return o.ID != uuid.Nil })
}

// textOldOrgName answers a name where versions up to 2.1 want an id.
const textOldOrgName = "Invalid UUID"

// DefaultOrganization is where users go who are sent nowhere else. It asks for the owner's own organizations, the one
// route that all versions have; one that does not tell the default has created it first, and ignores the
// organization of a new user anyway.
//
// https://coder.com/docs/reference/api/users#get-organizations-by-user
func (c *Client) DefaultOrganization(ctx context.Context) (Organization, error) {
	own, err := c.ownOrganizations(ctx)
	if err != nil {
		return Organization{}, fmt.Errorf("get default organization: %w", err)
	}
	for _, o := range own {
		if o.Told != nil && *o.Told {
			o.IsDefault = true
			return o.Organization, nil
		}
	}
	if len(own) > 0 && own[0].Told == nil {
		return slices.MinFunc(own, older).Organization, nil
	}
	return c.Organization(ctx, "default") // the owner is no member of it
}

func older(a, b ownOrganization) int { return a.CreatedAt.Compare(b.CreatedAt) }

// Organization finds by id or by name.
//
// https://coder.com/docs/reference/api/organizations#get-organization-by-id
func (c *Client) Organization(ctx context.Context, nameOrID string) (Organization, error) {
	rq := call{
		endpoint: "get_organization", method: http.MethodGet, path: []string{"organizations", nameOrID}, token: c.token,
	}
	if !addressable(nameOrID) {
		return Organization{}, fmt.Errorf("get organization: %w", rq.notFound())
	}
	var o Organization
	err := c.do(ctx, rq, o.reader())
	if e, ok := errors.AsType[*Error](err); ok && strings.HasPrefix(e.Message, textOldOrgName) {
		o, err = c.organizationByName(ctx, nameOrID, rq)
	}
	if err != nil {
		return Organization{}, fmt.Errorf("get organization: %w", err)
	}
	return o, nil
}

// organizationByName is for versions that find by id only.
func (c *Client) organizationByName(ctx context.Context, name string, rq call) (Organization, error) {
	own, err := c.ownOrganizations(ctx)
	if err != nil {
		return Organization{}, err
	}
	for _, o := range own {
		if strings.EqualFold(o.Name, name) {
			return o.Organization, nil
		}
	}
	return Organization{}, rq.notFound()
}

// ownOrganization tells "not the default" from "not said".
type ownOrganization struct {
	Organization
	Told *bool `json:"is_default"`
}

func (c *Client) ownOrganizations(ctx context.Context) ([]ownOrganization, error) {
	var own []ownOrganization
	err := c.do(ctx, call{
		endpoint: "list_organizations", method: http.MethodGet, path: []string{"users", "me", "organizations"},
		token: c.token,
	}, reading(&own, anything))
	return own, err
}
