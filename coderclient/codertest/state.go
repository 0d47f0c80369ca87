package codertest

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

type account struct {
	id                              uuid.UUID
	username, email, name, password string
	status, loginType               string
	orgs                            []uuid.UUID
	roles                           []string
	orgRoles                        map[uuid.UUID][]string
	deleted, system                 bool
	created, updated, seen          time.Time
}

type apiKey struct {
	id, secret                      string
	user                            uuid.UUID
	name, loginType                 string
	scopes, allow                   []string
	lifetimeSeconds                 int64
	expires, created, updated, used time.Time
}

type organization struct {
	id                uuid.UUID
	name, displayName string
	created           time.Time
}

func (a *account) is(role string) bool { return slices.Contains(a.roles, role) }

// administers: owners and user-admins see all users.
func (a *account) administers() bool { return a.is("owner") || a.is("user-admin") }

func (s *Server) newAccount(username, email, loginType string) *account {
	now := s.time()
	return &account{
		id: uuid.New(), username: username, email: email, loginType: loginType, status: "dormant",
		orgs: []uuid.UUID{s.orgs[0].id}, created: now, updated: now,
	}
}

// newPrebuildsUser is Coder's own, with the same id everywhere.
func (s *Server) newPrebuildsUser() *account {
	a := s.newAccount("prebuilds", "prebuilds@system", "none")
	a.id, a.name = uuid.MustParse("c42fdf75-3097-471c-8c33-fb52454d81c0"), "Prebuilds Owner"
	a.status, a.system = "active", true
	return a
}

func (s *Server) newDefaultOrganization() *organization {
	o := &organization{id: uuid.New(), name: "coder", displayName: "Coder", created: s.time()}
	switch s.version {
	case v2x0:
		o.name = "owner" // called after its maker
	case v2x13:
		o.name, o.displayName = "first-organization", "first-organization"
	}
	return o
}

// time is to the microsecond, as the database keeps it.
func (s *Server) time() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

func (s *Server) accountByID(id uuid.UUID) *account {
	return find(s.accounts, func(a *account) bool { return a.id == id })
}

// accountByName finds no deleted users.
func (s *Server) accountByName(name string) *account {
	return find(s.accounts, func(a *account) bool { return !a.deleted && strings.EqualFold(a.username, name) })
}

func (s *Server) taken(username, email string) bool {
	return slices.ContainsFunc(s.accounts, func(a *account) bool {
		return !a.deleted && (strings.EqualFold(a.username, username) || email != "" && strings.EqualFold(a.email, email))
	})
}

func (s *Server) keyByID(id string) *apiKey {
	return find(s.keys, func(k *apiKey) bool { return k.id == id })
}

func (s *Server) dropKeys(drop func(*apiKey) bool) { s.keys = slices.DeleteFunc(s.keys, drop) }

func (s *Server) remove(a *account) {
	a.deleted, a.updated = true, s.time()
	s.dropKeys(func(k *apiKey) bool { return k.user == a.id })
}

func find[T any](all []*T, match func(*T) bool) *T {
	if i := slices.IndexFunc(all, match); i >= 0 {
		return all[i]
	}
	return nil
}

// newKey has the shape of a real one: a public id and a secret.
func newKey() string { return randomText(10) + "-" + randomText(22) }

// randomText has capitals and small letters, as real keys do.
func randomText(n int) string {
	text := ""
	for len(text) < n {
		text += strings.ToLower(rand.Text()[:4]) + rand.Text()[:4]
	}
	return text[:n]
}

// newToken is not yet kept. Less than a second is a lifetime of a day to whoever moves the expiry, as in Coder.
func (s *Server) newToken(a *account, name string, lifetime time.Duration) *apiKey {
	now := s.time()
	k := &apiKey{
		user: a.id, name: name, loginType: "token", scopes: []string{"coder:all"}, allow: []string{"*:*"},
		lifetimeSeconds: int64(lifetime.Seconds()), expires: now.Add(lifetime), created: now, updated: now,
	}
	k.setWhole(newKey())
	if k.lifetimeSeconds == 0 {
		k.lifetimeSeconds = int64(day.Seconds())
	}
	if s.version >= v2x36 {
		k.used = time.Unix(0, 0).UTC()
	}
	return k
}

func (k *apiKey) setWhole(whole string) { k.id, k.secret, _ = strings.Cut(whole, "-") }

func (k *apiKey) whole() string { return k.id + "-" + k.secret }
