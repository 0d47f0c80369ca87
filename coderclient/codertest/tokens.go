package codertest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const textNoKey = "Failed to create API key."

func (e *exchange) createToken() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	f := e.fields("CreateTokenRequest")
	lifetime, badLifetime := e.lifetime(a, time.Duration(f.nanos("lifetime")))
	name, scope, scopes, allow := f.text("token_name"), f.text("scope"), f.texts("scopes"), f.texts("allow_list")
	if f.fault == "" && e.version >= v2x31 {
		f.fault = allowListFault(allow)
	}
	switch {
	case f.fault != "":
		return badJSON(f.fault)
	case a.system:
		return forbidden()
	}
	k := e.newToken(a, orInvented(name), lifetime)
	badScope := e.setScopes(k, scope, scopes, allow)
	if objection := cmp.Or(badScope, badLifetime, e.insertionFault(a, k)); objection != nil {
		return *objection
	}
	e.issue(a, k)
	return jsonReply(http.StatusCreated, object{"key": k.whole()})
}

func orInvented(name string) string {
	if name == "" {
		return "brave_turing" + randomText(2)
	}
	return name
}

func allowListFault(allow []string) string {
	for _, entry := range allow {
		if strings.Count(entry, ":") != 1 {
			return fmt.Sprintf("invalid allow_list entry %q: want <type>:<id>", entry)
		}
	}
	return ""
}

// lifetime puts the default in the place of 0. Older versions hold the default to the maximum too.
func (e *exchange) lifetime(a *account, asked time.Duration) (time.Duration, *reply) {
	const message = "Failed to validate create API key request."
	lifetime, longest := cmp.Or(asked, e.settings.DefaultTokenLifetime), e.maxLifetime(a)
	switch {
	case lifetime < 0:
		return 0, objection(http.StatusBadRequest, message, "lifetime must be positive number greater than 0")
	case lifetime <= longest || asked == 0 && e.version >= v2x31:
		return lifetime, nil
	case e.version < v2x31:
		return 0, objection(http.StatusBadRequest, message, fmt.Sprintf("lifetime must be less than %d", longest))
	}
	return 0, objection(http.StatusBadRequest, message, fmt.Sprintf("lifetime must be less than %s", longest))
}

func (e *exchange) maxLifetime(a *account) time.Duration {
	if a.is("owner") && e.settings.MaxOwnerTokenLifetime > 0 {
		return min(e.settings.MaxTokenLifetime, e.settings.MaxOwnerTokenLifetime)
	}
	return e.settings.MaxTokenLifetime
}

// insertionFault is what the database and the last check of rights object to. Expired tokens hold their names.
func (e *exchange) insertionFault(a *account, k *apiKey) *reply {
	fault := func(detail string) *reply {
		return objection(http.StatusInternalServerError, textNoKey, "insert API key: "+detail)
	}
	taken := slices.ContainsFunc(e.keys, func(other *apiKey) bool {
		return other.user == a.id && other.name == k.name && other.loginType == "token"
	})
	switch {
	case a != e.caller && !e.caller.is("owner"):
		return fault("unauthorized: rbac: forbidden")
	case a.deleted:
		return fault("pq: Cannot create API key for deleted user")
	case strings.Contains(k.name, "\x00"):
		return fault(`pq: invalid byte sequence for encoding "UTF8": 0x00`)
	case taken:
		return objection(http.StatusConflict, fmt.Sprintf("A token with name %q already exists.", k.name), "",
			validation("name", "This value is already in use and should be unique."))
	}
	return nil
}

func (e *exchange) tokenConfig() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	return jsonReply(http.StatusOK, object{"max_token_lifetime": e.maxLifetime(a)})
}

// listTokens gives a user-admin nothing of others, and null for nothing.
func (e *exchange) listTokens() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	query := e.r.URL.Query()
	everybody := query.Get("include_all") == "true" && e.caller.is("owner")
	hideExpired := e.version >= v2x31 && query.Get("include_expired") != "true"
	var list []object
	for _, k := range slices.SortedFunc(slices.Values(e.keys), byName) {
		switch {
		case k.loginType != "token", k.user != a.id && !everybody, !e.mayRead(k):
		case hideExpired && k.expires.Before(e.time()):
		default:
			o := e.keyJSON(k)
			o["username"] = e.accountByID(k.user).username
			list = append(list, o)
		}
	}
	return jsonReply(http.StatusOK, list)
}

func byName(a, b *apiKey) int { return cmp.Compare(a.name, b.name) }

func (e *exchange) tokenByName() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	k := find(e.keys, func(k *apiKey) bool {
		return k.user == a.id && k.loginType == "token" && k.name == e.params["name"]
	})
	if k == nil || !e.mayRead(k) {
		return notFound()
	}
	return jsonReply(http.StatusOK, e.keyJSON(k))
}
