package codertest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// User is an account as it is now.
type User struct {
	ID              uuid.UUID
	Username        string
	Email           string
	Name            string
	Status          string
	LoginType       string
	OrganizationIDs []uuid.UUID
	Roles           []string
	CreatedAt       time.Time
	LastSeenAt      time.Time
}

// Key is a key as it is now, secret included.
type Key struct {
	ID        string
	Whole     string // "<id>-<secret>"
	UserID    uuid.UUID
	TokenName string // "" for those that no user named
	LoginType string
	Scopes    []string
	ExpiresAt time.Time
	CreatedAt time.Time
	LastUsed  time.Time
}

// AddUser makes an account that nobody asked for over the API. Roles are optional. It panics if the name is taken.
func (s *Server) AddUser(username, email, loginType string, roles ...string) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken(username, email) {
		panic("codertest: user exists: " + username)
	}
	a := s.newAccount(username, email, loginType)
	a.roles = roles
	s.accounts = append(s.accounts, a)
	return a.public()
}

// AddToken makes a key for the user of that name.
func (s *Server) AddToken(username, tokenName string, lifetime time.Duration) Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.newToken(s.mustName(username), tokenName, lifetime)
	s.keys = append(s.keys, k)
	return k.public()
}

// Users are those that exist, in the order of their making, without the owner.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []User
	for _, a := range s.accounts {
		if !a.deleted && !a.system && a.username != "owner" {
			list = append(list, a.public())
		}
	}
	return list
}

// User is the existing user of that name.
func (s *Server) User(username string) (u User, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accountByName(username); a != nil {
		return a.public(), true
	}
	return User{}, false
}

// TokensOf are the user's tokens, expired ones included, in the order of their making.
func (s *Server) TokensOf(username string) []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mustName(username)
	var list []Key
	for _, k := range s.keys {
		if k.user == a.id && k.loginType == "token" {
			list = append(list, k.public())
		}
	}
	return list
}

// SuspendUser makes the user's keys fail.
func (s *Server) SuspendUser(username string) {
	s.change(username, func(a *account) { a.status = "suspended" })
}

// ActivateUser undoes SuspendUser; it also wakes a dormant user.
func (s *Server) ActivateUser(username string) {
	s.change(username, func(a *account) { a.status = "active" })
}

// RenameUser keeps id and keys.
func (s *Server) RenameUser(username, to string) {
	s.change(username, func(a *account) { a.username = to })
}

// SetRoles replaces the user's site roles.
func (s *Server) SetRoles(username string, roles ...string) {
	s.change(username, func(a *account) { a.roles = roles })
}

// SetOrganizationRoles replaces the user's roles in the default organization.
func (s *Server) SetOrganizationRoles(username string, roles ...string) {
	s.change(username, func(a *account) { a.orgRoles = map[uuid.UUID][]string{s.orgs[0].id: roles} })
}

// DeleteUser deletes softly; the user's keys are gone.
func (s *Server) DeleteUser(username string) { s.change(username, s.remove) }

// SetLoginType changes how the user would log in, as no request can.
func (s *Server) SetLoginType(username, loginType string) {
	s.change(username, func(a *account) { a.loginType = loginType })
}

func (s *Server) change(username string, how func(*account)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mustName(username)
	a.updated = s.time()
	how(a)
}

// DeleteKey ends the key with that public id.
func (s *Server) DeleteKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropKeys(func(k *apiKey) bool { return k.id == id })
}

// IgnoreScopes makes the server give every new token all rights, as versions do that know no lists of scopes.
func (s *Server) IgnoreScopes() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ignoresScopes = true
}

// Prolong moves the end of a key.
func (s *Server) Prolong(id string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keyByID(id); k != nil {
		k.expires = until
	}
}

// AgeKey moves the times of a key back, as if it had been made so much earlier.
func (s *Server) AgeKey(id string, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keyByID(id)
	if k == nil {
		panic("codertest: no such key: " + id)
	}
	k.created, k.expires, k.used = k.created.Add(-by), k.expires.Add(-by), k.used.Add(-by)
}

// Configure changes settings while the server runs.
func (s *Server) Configure(change func(*Settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.settings)
}

// SetProfile up- or downgrades the server. Users and keys stay; an upgrade to ProfileNew makes password users of
// those with login type none. Settings become those of the profile, but for AppHost, Proxies and the rate limit.
func (s *Server) SetProfile(p Profile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.settings
	s.version = generationOf(p)
	s.settings = s.defaultSettings()
	s.settings.AppHost, s.settings.RateLimit, s.settings.RateWindow = kept.AppHost, kept.RateLimit, kept.RateWindow
	s.settings.Proxies = kept.Proxies
	for _, a := range s.accounts {
		if s.version >= v2x36 && a.loginType == "none" && !a.system {
			a.loginType = "password"
		}
	}
}

// Reset makes it a Coder that has just been installed: other organization, no users but the owner. The owner's token,
// faults and the record of requests stay.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.install()
}

// OrganizationID is that of the default organization.
func (s *Server) OrganizationID() uuid.UUID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orgs[0].id
}

func (s *Server) mustName(username string) *account {
	a := s.accountByName(username)
	if a == nil {
		panic(fmt.Sprintf("codertest: no such user: %s", username))
	}
	return a
}

func (a *account) public() User {
	return User{
		ID: a.id, Username: a.username, Email: a.email, Name: a.name, Status: a.status, LoginType: a.loginType,
		OrganizationIDs: slices.Clone(a.orgs), Roles: slices.Clone(a.roles), CreatedAt: a.created, LastSeenAt: a.seen,
	}
}

func (k *apiKey) public() Key {
	return Key{
		ID: k.id, Whole: k.whole(), UserID: k.user, TokenName: k.name, LoginType: k.loginType,
		Scopes: slices.Clone(k.scopes), ExpiresAt: k.expires, CreatedAt: k.created, LastUsed: k.used,
	}
}
