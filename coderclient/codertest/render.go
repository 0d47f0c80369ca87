package codertest

import "github.com/google/uuid"

// userJSON has the fields of its generation; empty ones were sent up to 2.22 and are left out since.
func (s *Server) userJSON(a *account) object {
	o := object{
		"id": a.id, "username": a.username, "email": a.email, "status": a.status, "login_type": a.loginType,
		"organization_ids": a.orgs, "roles": rolesJSON(a.roles), "created_at": a.created, "last_seen_at": a.seen,
	}
	if s.version < v2x31 {
		o["avatar_url"] = ""
	} else {
		o["updated_at"] = a.updated
	}
	switch {
	case s.version == v2x13:
		o["name"], o["theme_preference"] = a.name, ""
	case s.version >= v2x31 && a.name != "":
		o["name"] = a.name
	}
	if s.version >= v2x36 {
		o["has_ai_seat"] = false
	}
	if s.version >= v2x36 && a.deleted {
		o["organization_ids"] = []uuid.UUID{}
	}
	return o
}

var roleNames = map[string]string{
	"owner": "Owner", "user-admin": "User Admin", "template-admin": "Template Admin", "auditor": "Auditor",
}

func rolesJSON(roles []string) []object {
	list := []object{}
	for _, role := range roles {
		list = append(list, object{"name": role, "display_name": roleNames[role]})
	}
	return list
}

func (s *Server) keyJSON(k *apiKey) object {
	o := object{
		"id": k.id, "user_id": k.user, "last_used": k.used, "expires_at": k.expires, "created_at": k.created,
		"updated_at": k.updated, "login_type": k.loginType, "scope": k.scope(), "token_name": k.name,
		"lifetime_seconds": k.lifetimeSeconds,
	}
	if s.version >= v2x31 {
		o["scopes"], o["allow_list"] = k.scopes, k.allow
	}
	return o
}

// scope is the old field, which has no word for a set of scopes.
func (k *apiKey) scope() string {
	if len(k.scopes) == 1 {
		switch k.scopes[0] {
		case "coder:all":
			return "all"
		case "coder:application_connect":
			return "application_connect"
		}
	}
	return ""
}

func (s *Server) organizationJSON(o *organization) object {
	j := object{"id": o.id, "name": o.name, "created_at": o.created, "updated_at": o.created}
	if s.version > v2x0 {
		j["display_name"], j["icon"], j["is_default"] = o.displayName, "", o == s.orgs[0]
		j["description"] = "Builtin default organization."
	}
	if s.version >= v2x36 {
		j["default_org_member_roles"] = append([]string{"organization-workspace-access"}, s.settings.MemberRoles...)
	}
	return j
}
