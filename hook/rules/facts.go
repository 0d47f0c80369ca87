package rules

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"coderhook/hook/claims"
	"coderhook/store"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// What a condition may name.
const (
	claimsVar     = "claims"
	emailVar      = "user.email"
	domainVar     = "user.domain"
	providerVar   = "user.provider"
	providersVar  = "user.providers"
	confirmedVar  = "user.confirmed"
	createdVar    = "user.created"
	profilePrefix = "profile."
)

// ofUser are the claims that are a user's in every session, as auth.users has them.
var ofUser = append([]string{"aud", "role", "app_metadata", "user_metadata"}, notReturned...)

// notReturned are those that no chained hook changes, for rules.
var notReturned = []string{"sub", "email", "phone", "is_anonymous"}

// Facts are what a condition is about.
type Facts struct {
	Claims  []byte // JSON: a token's claims, or those of a user that are the same in every session
	Session bool   // they are a token's; without, what a condition asks of a session is not known
	Chained bool   // without: nor is what a chained hook may have changed

	ConfirmedEmail string    // "" where it is not confirmed
	Created        time.Time // the user
	Profile        []byte    // JSON: the columns by their names, all null without a row; none: likewise
}

// OfUser are the facts of a user in whatever session.
func OfUser(u store.UserFacts) Facts {
	return Facts{Claims: u.Claims, ConfirmedEmail: u.ConfirmedEmail, Created: u.Created, Profile: u.Profile}
}

// OfSession are the facts of a token.
func OfSession(claims []byte, u store.UserFacts) Facts {
	return Facts{Claims: claims, Session: true, ConfirmedEmail: u.ConfirmedEmail, Created: u.Created, Profile: u.Profile}
}

// uses are what an expression reads.
type uses struct {
	claims    []string
	inside    claims.Member // what it reads inside them
	allClaims bool
	auth      bool // confirmed or created
	profile   []string
	columns   claims.Member // the same
}

func (u *uses) note(node ast.NavigableExpr) {
	switch name := node.AsIdent(); {
	case name == claimsVar:
		path := pathOf(node)
		u.inside.Want(path...)
		if len(path) == 0 {
			u.allClaims = true
		} else {
			u.claims = added(u.claims, path[0])
		}
	case name == emailVar, name == domainVar:
		u.notes("email")
	case name == providerVar:
		u.notes("app_metadata", "provider")
	case name == providersVar:
		u.notes("app_metadata", "providers")
	case name == confirmedVar:
		u.auth = true
		u.notes("email")
	case name == createdVar:
		u.auth = true
	case strings.HasPrefix(name, profilePrefix):
		u.column(strings.TrimPrefix(name, profilePrefix))
	}
}

// notes notes a claim, or a member inside one.
func (u *uses) notes(path ...string) {
	u.claims = added(u.claims, path[0])
	u.inside.Want(path...)
}

func (u *uses) column(name string) {
	u.profile = added(u.profile, name)
	u.columns.Want(name)
}

// pathOf returns the names A and B of claims.A.B or claims["A"].B, as far as they stand there.
func pathOf(node ast.NavigableExpr) (path []string) {
	for {
		parent, ok := node.Parent()
		if !ok {
			return path
		}
		member, ok := memberOf(parent)
		if !ok {
			return path
		}
		path, node = append(path, member), parent
	}
}

// memberOf returns NAME of X.NAME or X["NAME"].
func memberOf(node ast.NavigableExpr) (string, bool) {
	switch node.Kind() {
	case ast.SelectKind:
		return node.AsSelect().FieldName(), true
	case ast.CallKind:
		call := node.AsCall()
		if call.FunctionName() != operators.Index || call.Args()[1].Kind() != ast.LiteralKind {
			return "", false
		}
		name, ok := call.Args()[1].AsLiteral().(types.String)
		return string(name), ok
	}
	return "", false
}

func added(list []string, name string) []string {
	if slices.Contains(list, name) {
		return list
	}
	return append(list, name)
}

func (u *uses) add(other uses) {
	u.allClaims, u.auth = u.allClaims || other.allClaims, u.auth || other.auth
	u.inside.Add(other.inside)
	for _, name := range other.claims {
		u.claims = added(u.claims, name)
	}
	for _, name := range other.profile {
		u.column(name)
	}
}

// vars are facts as CEL asks for them: what no expression names is not decoded.
type vars struct {
	Facts
	uses    uses
	claims  map[string]any
	profile map[string]any
	fault   error
}

func newVars(f Facts, u uses) *vars { return &vars{Facts: f, uses: u} }

// Parent: there is none.
func (v *vars) Parent() cel.Activation { return nil }

// size is how long a text or list among the facts can be at most.
func (v *vars) size() int { return max(len(v.Claims), len(v.Profile)) }

// ResolveName returns a variable's value, as CEL's own type where that saves making one of it.
func (v *vars) ResolveName(name string) (any, bool) {
	switch name {
	case claimsVar:
		return v.read(), true
	case emailVar:
		return types.String(v.email()), true
	case domainVar:
		_, domain, _ := cutLast(v.email(), "@")
		return types.String(domain), true
	case providerVar:
		provider, _ := v.appMetadata()["provider"].(string)
		return types.String(provider), true
	case providersVar:
		return v.providers(), true
	case confirmedVar:
		email := v.email()
		return types.Bool(email != "" && strings.ToLower(v.ConfirmedEmail) == email), true
	case createdVar:
		return types.Timestamp{Time: v.Created}, true
	}
	if column, ok := strings.CutPrefix(name, profilePrefix); ok {
		return v.column(column), true
	}
	return nil, false
}

func (v *vars) read() map[string]any {
	if v.claims != nil {
		return v.claims
	}
	if v.claims, v.fault = claims.Decode(v.Claims, &v.uses.inside); v.fault != nil {
		v.claims = map[string]any{}
	}
	return v.claims
}

// email is in lower case, so that no rule is got round by an upper one.
func (v *vars) email() string {
	email, _ := v.read()["email"].(string)
	return strings.ToLower(email)
}

func cutLast(text, sep string) (before, after string, found bool) {
	at := strings.LastIndex(text, sep)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(sep):], true
}

func (v *vars) appMetadata() map[string]any {
	data, _ := v.read()["app_metadata"].(map[string]any)
	return data
}

func (v *vars) providers() []string {
	names := []string{}
	list, _ := v.appMetadata()["providers"].([]any)
	for _, one := range list {
		if name, ok := one.(string); ok {
			names = append(names, name)
		}
	}
	return names
}

func (v *vars) column(name string) any {
	if v.profile == nil {
		v.profile = map[string]any{}
		if len(v.Profile) > 0 && !bytes.Equal(v.Profile, null) {
			var err error
			if v.profile, err = claims.Decode(v.Profile, &v.uses.columns); err != nil {
				v.fault = err
			}
		}
	}
	return v.profile[name]
}

var null = []byte("null")
