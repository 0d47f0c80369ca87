package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

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

// extraRoles are those that neither come with every account nor, by its operator's choice, with every membership of an
// organization. Who may administer it is refused all the same.
func (p *Provisioner) extraRoles(ctx context.Context, roles coderclient.Roles) ([]string, error) {
	names := beyond(roles.Site, nil)
	for id, inOne := range roles.Organizations {
		extra := beyond(inOne, nil)
		if len(extra) > 0 {
			organization, err := p.Coder.Organization(ctx, id.String())
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

// rolesOf tells the roles that not everybody has. Versions without the route have site roles only.
func (p *Provisioner) rolesOf(ctx context.Context, user coderclient.User) ([]string, error) {
	roles, err := p.Coder.Roles(ctx, user.ID)
	return p.rolesFrom(ctx, user, roles, err)
}

// rolesOfKey asks with the user's own key, as owners' requests are limited; a narrow one may not.
func (p *Provisioner) rolesOfKey(ctx context.Context, user coderclient.User, key string) ([]string, error) {
	roles, err := p.Coder.MyRoles(ctx, key)
	if errors.Is(err, coderclient.ErrNotFound) || errors.Is(err, coderclient.ErrForbidden) {
		return p.rolesOf(ctx, user)
	}
	return p.rolesFrom(ctx, user, roles, err)
}

func (p *Provisioner) rolesFrom(ctx context.Context, user coderclient.User, roles coderclient.Roles, err error) ([]string, error) {
	if err != nil && !errors.Is(err, coderclient.ErrRouteNotFound) {
		return nil, fmt.Errorf("read roles of Coder user: %w", err)
	}
	for _, role := range user.Roles {
		roles.Site = append(roles.Site, role.Name)
	}
	return p.extraRoles(ctx, roles)
}

func rolesReason(user coderclient.User, roles []string) error {
	return fmt.Errorf("%w: Coder user %s is %s; take that away there, or let them have another account", errRoles, user.Username, strings.Join(roles, ", "))
}

// refuseRoles ends what we gave to an account that has been given roles: there is no key for it.
func (p *Provisioner) refuseRoles(ctx context.Context, j *job, user coderclient.User) error {
	roles, err := p.rolesOf(ctx, user)
	if err != nil || len(roles) == 0 {
		return err
	}
	if err := p.deleteOurs(ctx, j.known); err != nil {
		return fmt.Errorf("%w: %w, and our keys are not deleted: %w", errConflict, rolesReason(user, roles), err)
	}
	why := rolesReason(user, roles)
	p.Metrics.rolesRefused.Inc()
	if err := p.Ledger.RefuseRoles(ctx, j.lease, p.Now(), why.Error()); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errConflict, why)
}

// deleteOurs deletes the tokens of an account that are ours by their name, and the one in the ledger.
func (p *Provisioner) deleteOurs(ctx context.Context, a store.Account) error {
	if a.CoderUserID == uuid.Nil {
		return nil
	}
	tokens, err := p.Coder.Tokens(ctx, a.CoderUserID)
	if err != nil && !errors.Is(err, coderclient.ErrNotFound) {
		return err
	}
	for _, token := range tokens {
		if token.UserID != a.CoderUserID || !ours(a, token) {
			continue
		}
		if err := p.Coder.DeleteKey(ctx, a.CoderUserID, token.ID); err != nil {
			return err
		}
		p.Log.Warn().Stringer("user_id", a.UserID).Str("key_id", token.ID).Msg("key deleted: its user has roles in Coder")
	}
	return nil
}
