package codertest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// target is the user of the path. A nil user comes with the answer for it.
func (e *exchange) target() (*account, reply) {
	name := e.params["user"]
	a := e.named(name)
	if a != nil && (a == e.caller || e.caller.administers() || e.version == v2x0) {
		return a, reply{}
	}
	return nil, e.noSuchUser(name)
}

// named tries me, then anything that parses as a UUID, which finds deleted users too, then the name.
func (e *exchange) named(name string) *account {
	if name == "me" {
		return e.caller
	}
	if id, err := uuid.Parse(name); err == nil {
		return e.accountByID(id)
	}
	return e.accountByName(name)
}

func (e *exchange) noSuchUser(name string) reply {
	const old = `"user" must be an existing uuid or username.`
	switch e.version {
	case v2x0:
		return refusal(http.StatusBadRequest, old, "")
	case v2x13:
		return refusal(http.StatusBadRequest, old, fmt.Sprintf("queried user=%q", name))
	}
	return notFound()
}

func (e *exchange) getUser() reply {
	a, no := e.target()
	switch {
	case a == nil:
		return no
	case !e.key.reads("user"):
		return notFound()
	}
	o := e.userJSON(a)
	if a != e.caller && !e.caller.administers() {
		o["organization_ids"] = []uuid.UUID{} // 2.0 shows everybody to everybody, but not where they belong
	}
	return jsonReply(http.StatusOK, o)
}

// reads: a scope that does not include reading a resource hides it.
func (k *apiKey) reads(resource string) bool {
	for _, scope := range k.scopes {
		if scope == "coder:all" || scope == resource+":read" {
			return true
		}
	}
	return false
}

func (e *exchange) deleteUser() reply {
	a, no := e.target()
	switch {
	case a == nil:
		return no
	case !e.caller.administers():
		return forbidden()
	case a == e.caller:
		return refusal(http.StatusForbidden, "You cannot delete yourself!", "")
	case e.ownsWorkspaces(a):
		return refusal(http.StatusExpectationFailed, "You cannot delete a user that has workspaces. Delete their workspaces and try again!", "")
	}
	e.remove(a)
	return jsonReply(http.StatusOK, object{"message": "User has been deleted!"})
}

func (e *exchange) suspendUser() reply {
	a, no := e.target()
	switch {
	case a == nil:
		return no
	case !e.caller.administers():
		return notFound()
	case a == e.caller:
		return refusal(http.StatusBadRequest, "You cannot suspend yourself.", "")
	case a.is("owner"):
		return refusal(http.StatusBadRequest,
			`You cannot suspend a user with the "owner" role. You must remove the role first.`, "")
	}
	return e.setUserStatus(a, "suspended")
}

func (e *exchange) activateUser() reply {
	a, no := e.target()
	switch {
	case a == nil:
		return no
	case !e.caller.administers():
		return notFound()
	}
	return e.setUserStatus(a, "active")
}

func (e *exchange) setUserStatus(a *account, status string) reply {
	a.status, a.updated = status, e.time()
	return jsonReply(http.StatusOK, e.userJSON(a))
}

// getRoles shows what getUser does not: the roles in organizations.
func (e *exchange) getRoles() reply {
	a, no := e.target()
	switch {
	case a == nil:
		return no
	case !e.key.reads("user"):
		return notFound()
	}
	byOrganization := object{}
	for _, id := range a.orgs {
		byOrganization[id.String()] = append([]string{}, a.orgRoles[id]...)
	}
	return jsonReply(http.StatusOK, object{"roles": append([]string{}, a.roles...), "organization_roles": byOrganization})
}

func (e *exchange) putRoles() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	roles := e.fields("UpdateRoles").texts("roles")
	for _, role := range roles {
		if roleNames[role] == "" {
			return refusal(http.StatusBadRequest, fmt.Sprintf("%q is not a supported role", role), "")
		}
	}
	a.roles = roles
	return jsonReply(http.StatusOK, e.userJSON(a))
}

// putPassword ends the user's keys. What other login types are told stands in coderd/users.go since 2.1.
func (e *exchange) putPassword() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	if a.loginType != "password" {
		return refusal(http.StatusBadRequest, "Users without password login type cannot change their password.", "")
	}
	a.password = e.fields("UpdateUserPasswordRequest").text("password")
	e.dropKeys(func(k *apiKey) bool { return k.user == a.id })
	return noContent()
}

func (e *exchange) putProfile() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	f := e.fields("UpdateUserProfileRequest")
	username, name := f.text("username"), f.text("name")
	if other := e.accountByName(username); other != nil && other != a {
		return refusal(http.StatusConflict, "User already exists.", "")
	}
	a.username, a.name, a.updated = username, strings.TrimSpace(name), e.time()
	return jsonReply(http.StatusOK, e.userJSON(a))
}
