package codertest

import "time"

// generation is a version of Coder with recordings. Behaviour that changed between two of them is taken to have
// changed with the later one.
type generation int

const (
	v2x0 generation = iota
	v2x13
	v2x31
	v2x36
)

func (g generation) String() string {
	return [...]string{"v2.0.2", "v2.13.5", "v2.31.3", "v2.36.0"}[g]
}

func generationOf(p Profile) generation {
	switch p {
	case Profile2023:
		return v2x13
	case ProfileV231:
		return v2x31
	case ProfileNew:
		return v2x36
	}
	panic("codertest: unknown profile " + string(p))
}

// Settings are what an operator of Coder configures.
type Settings struct {
	AppHost               string        // wildcard host of apps, "" for none
	RateLimit             int           // requests per window, caller and path; 0: off
	RateWindow            time.Duration // whole seconds; a minute in every real Coder
	MaxTokenLifetime      time.Duration //
	MaxOwnerTokenLifetime time.Duration // where the user has role owner; 0: as others
	DefaultTokenLifetime  time.Duration // for a lifetime of 0
	SlidingExpiry         bool          // every use gives a token its whole lifetime again
	DisablePasswordAuth   bool          //
	OIDC                  bool          // configured
	MemberRoles           []string      // that every member of the organization has besides the usual one, from 2.36 on
	Smarthost             string        // mail server, "" for none
	Proxies               []Proxy       // workspace proxies, as with a licence
}

// Proxy is a workspace proxy. One that has never run has neither URL nor wildcard.
type Proxy struct {
	Name     string
	URL      string // its access URL
	Wildcard string // as "*.us.example.com"
}

const day = 24 * time.Hour

func (s *Server) defaultSettings() Settings {
	set := Settings{
		AppHost:              "*.apps.localhost",
		RateWindow:           time.Minute,
		MaxTokenLifetime:     876600 * time.Hour,
		DefaultTokenLifetime: 30 * day,
		SlidingExpiry:        s.version <= v2x31,
		OIDC:                 s.version < v2x31, // not asked for there
	}
	if s.version >= v2x31 {
		set.DefaultTokenLifetime, set.MaxOwnerTokenLifetime = 7*day, 7*day
	}
	return set
}
