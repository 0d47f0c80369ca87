package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"coderhook/coderclient"

	"github.com/google/uuid"
)

// RolesCoder is what Roles needs of Coder.
type RolesCoder interface {
	Organization(ctx context.Context, nameOrID string) (coderclient.Organization, error)
	Roles(ctx context.Context, user uuid.UUID) (coderclient.Roles, error)
	MyRoles(ctx context.Context, key string) (coderclient.Roles, error)
}

// Roles tells whose account may do more in Coder than everybody's.
type Roles struct{ Coder RolesCoder }

// RolesError says that an account has roles: there is no key for it.
type RolesError struct {
	User  coderclient.User
	Roles []string
}

func (e *RolesError) Error() string {
	return fmt.Sprintf("%s: Coder user %s is %s; take that away there, or let them have another account", errRoles, e.User.Username, strings.Join(e.Roles, ", "))
}

// Refuse returns a [RolesError], as a conflict, for an account with roles.
func (r *Roles) Refuse(ctx context.Context, user coderclient.User) error {
	roles, err := r.Of(ctx, user)
	if err != nil || len(roles) == 0 {
		return err
	}
	return fmt.Errorf("%w: %w", ErrConflict, &RolesError{user, roles})
}

// errRoles: a key of somebody with roles opens more than a workspace, and every server that a token
// passes through holds the key.
var errRoles = errors.New("its user has roles in Coder")

// everybodys are the roles that come with every account.
var everybodys = []string{"member", "organization-member", "organization-workspace-access"}

// beyond lists the roles that not everybody has. Up to 2.13 the name of an organization's role ends with its id.
func beyond(roles, everybody []string) (names []string) {
	for _, role := range roles {
		if name, _, _ := strings.Cut(role, ":"); !slices.Contains(everybodys, name) && !slices.Contains(everybody, name) {
			names = append(names, name)
		}
	}
	return names
}

// extra returns those that neither come with every account nor, by its operator's choice, with every membership of an
// organization. Who may administer it is refused all the same.
func (r *Roles) extra(ctx context.Context, roles coderclient.Roles) ([]string, error) {
	names := beyond(roles.Site, nil)
	for id, inOne := range roles.Organizations {
		extra := beyond(inOne, nil)
		if len(extra) > 0 {
			organization, err := r.Coder.Organization(ctx, id.String())
			if err != nil {
				return nil, fmt.Errorf("read organization of the roles: %w", err)
			}
			members := slices.DeleteFunc(organization.MemberRoles, func(role string) bool { return role == "organization-admin" })
			extra = beyond(extra, members)
		}
		names = append(names, extra...)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Of returns the roles that not everybody has. Versions without the route have site roles only.
func (r *Roles) Of(ctx context.Context, user coderclient.User) ([]string, error) {
	roles, err := r.Coder.Roles(ctx, user.ID)
	return r.from(ctx, user, roles, err)
}

// OfKey asks with the user's own key, as owners' requests are limited; a narrow one may not.
func (r *Roles) OfKey(ctx context.Context, user coderclient.User, key string) ([]string, error) {
	roles, err := r.Coder.MyRoles(ctx, key)
	if errors.Is(err, coderclient.ErrNotFound) || errors.Is(err, coderclient.ErrForbidden) {
		return r.Of(ctx, user)
	}
	return r.from(ctx, user, roles, err)
}

func (r *Roles) from(ctx context.Context, user coderclient.User, roles coderclient.Roles, err error) ([]string, error) {
	if err != nil && !errors.Is(err, coderclient.ErrRouteNotFound) {
		return nil, fmt.Errorf("read roles of Coder user: %w", err)
	}
	for _, role := range user.Roles {
		roles.Site = append(roles.Site, role.Name)
	}
	return r.extra(ctx, roles)
}
