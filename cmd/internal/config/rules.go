package config

import (
	"time"

	"coderhook/hook/rules"
	"coderhook/store"
)

// Rules say who gets a key, and which.
type Rules struct {
	rules.Source
	Policy *rules.Policy // as the file was at the start; nil: there is none
	Grace  time.Duration // after which the account of a user is suspended to whom no rule gives a key
}

func readRules(v *variables, database store.Config) Rules {
	r := Rules{
		Source: rules.Source{
			Path: v.text("POLICY_FILE", ""), Columns: database.PolicyColumns, Audit: v.oneOf("POLICY_MODE", "enforce", "audit") == "audit",
			Chained: database.ChainHook != "",
		},
		Grace: v.duration("INELIGIBLE_GRACE", 7*24*time.Hour, time.Hour),
	}
	if r.Path == "" {
		return r
	}
	var err error
	if r.Policy, err = r.Read(); err != nil {
		for _, fault := range each(err) {
			v.fault("POLICY_FILE", "%w", fault)
		}
	}
	return r
}

// each returns the errors that one joins, or that one.
func each(err error) []error {
	if faults := Faults(err); len(faults) > 0 {
		return faults
	}
	return []error{err}
}
