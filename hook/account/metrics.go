package account

import (
	"coderhook/hook/metrics"

	"github.com/prometheus/client_golang/prometheus"
)

// Made counts the accounts that were made.
func Made(r *metrics.Registry) prometheus.Counter {
	return r.Counter("coderhook_accounts_made_total", "Coder users made for Supabase users.")
}

// RolesRefused counts users who got no key, as their account has roles.
func RolesRefused(r *metrics.Registry) prometheus.Counter {
	return r.Counter("coderhook_roles_refused_total", "Times that a user got no key, as their Coder user has roles.")
}
