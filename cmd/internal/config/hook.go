package config

import (
	"strings"
	"time"

	"coderhook/hook/policy"
)

func readPolicy(v *variables) policy.Policy {
	p := policy.Policy{
		RequireAAL:     v.oneOf("REQUIRE_AAL", "aal1", "aal2", "aal3"),
		AllowedClients: v.list("ALLOWED_CLIENT_IDS"),
		AllowedRoles:   v.list("ALLOWED_ROLES"),
	}
	for _, role := range p.AllowedRoles {
		if strings.ContainsAny(role, "*;|") {
			v.fault("ALLOWED_ROLES", "%q is not a role; name roles that stand in auth.users one by one, like authenticated,staff", role)
		}
		if role == "anon" || role == "service_role" {
			v.fault("ALLOWED_ROLES", "%q is the role of a key of the project, not of users; name roles that stand in auth.users, like authenticated", role)
		}
	}
	return p
}

// maxDeadline leaves Supabase Auth time for its own work.
const maxDeadline = 4 * time.Second

func readDeadline(v *variables) time.Duration {
	deadline := v.duration("HOOK_DEADLINE", 2500*time.Millisecond, 100*time.Millisecond)
	if deadline > maxDeadline {
		v.fault("HOOK_DEADLINE", "%s is too long; Supabase Auth gives up after 5s, so set %s or less", deadline, maxDeadline)
	}
	return deadline
}
