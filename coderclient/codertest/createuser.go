package codertest

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"
)

// newUser is the body of a creation, as its generation understands it.
type newUser struct {
	email, username, name, password, status string
	loginType                               string // as asked for
	login                                   string // what that comes to
	disableLogin, serviceAccount            bool
	orgs                                    []uuid.UUID
	roles                                   []string
}

// creationChecks are made in this order; the first that objects answers.
var creationChecks = map[generation][]func(*exchange, *newUser) *reply{
	v2x0: {
		(*exchange).checkFields, (*exchange).checkPasswordWanted, (*exchange).checkTaken,
		(*exchange).checkOrganizations, (*exchange).checkLogin, (*exchange).checkCreator,
	},
	v2x13: {
		(*exchange).checkFields, (*exchange).checkPasswordWanted, (*exchange).checkPasswordAuth, (*exchange).checkTaken,
		(*exchange).checkOrganizations, (*exchange).checkLogin, (*exchange).checkCreator,
	},
	v2x31: {
		(*exchange).checkFields, (*exchange).checkPasswordWanted, (*exchange).checkPasswordAuth,
		(*exchange).checkOrganizationGiven, (*exchange).checkTaken, (*exchange).checkOrganizations, (*exchange).checkLogin,
		(*exchange).checkCreator, (*exchange).checkInsertion,
	},
	v2x36: {
		(*exchange).checkFields, (*exchange).checkServiceAccount, (*exchange).checkNone, (*exchange).checkPasswordWanted,
		(*exchange).checkPasswordAuth, (*exchange).checkOrganizationGiven, (*exchange).checkTaken,
		(*exchange).checkOrganizations, (*exchange).checkLogin, (*exchange).checkCreator, (*exchange).checkInsertion,
	},
}

func (e *exchange) createUser() reply {
	nu, fault := e.readNewUser()
	if fault != "" {
		return badJSON(fault)
	}
	for _, check := range creationChecks[e.version] {
		if objection := check(e, nu); objection != nil {
			return *objection
		}
	}
	a := e.newAccount(nu.username, nu.email, nu.login)
	a.name, a.password, a.roles = nu.name, nu.password, nu.roles
	if nu.status != "" {
		a.status = nu.status
	}
	if e.version >= v2x31 {
		a.orgs = nu.orgs
	}
	e.accounts = append(e.accounts, a)
	return jsonReply(http.StatusCreated, e.userJSON(a))
}

func (e *exchange) readNewUser() (*newUser, string) {
	goType := "CreateUserRequest"
	if e.version >= v2x31 {
		goType = "DeprecatedCreateUserRequest.AliasedReq"
	}
	f := e.fields(goType)
	nu := &newUser{email: f.text("email"), username: f.text("username"), password: f.text("password")}
	legacy := f.id("organization_id")
	if e.version > v2x0 {
		nu.name, nu.loginType = f.text("name"), f.text("login_type")
	}
	if e.version < v2x31 {
		nu.disableLogin = f.flag("disable_login")
		nu.orgs = []uuid.UUID{legacy}
	} else {
		nu.status, nu.orgs = f.text("user_status"), f.ids("organization_ids")
		if _, given := f.raw["organization_id"]; given && string(f.raw["organization_id"]) != "null" {
			nu.orgs = append(nu.orgs, legacy)
		}
	}
	if e.version >= v2x36 {
		nu.serviceAccount, nu.roles = f.flag("service_account"), f.texts("roles")
	}
	nu.login = nu.effectiveLogin(e.version)
	return nu, f.fault
}

func (nu *newUser) effectiveLogin(v generation) string {
	switch {
	case nu.disableLogin && (v == v2x0 || nu.loginType == ""):
		return "none"
	case v == v2x0 || nu.loginType == "":
		return "password"
	}
	return nu.loginType
}

func objection(status int, message, detail string, validations ...object) *reply {
	rep := refusal(status, message, detail, validations...)
	return &rep
}

func (e *exchange) checkServiceAccount(nu *newUser) *reply {
	switch {
	case !nu.serviceAccount:
		return nil
	case nu.loginType != "" && nu.loginType != "none":
		return objection(http.StatusBadRequest, "Service accounts must use login type 'none'.", "")
	case nu.password != "":
		return objection(http.StatusBadRequest, "Password cannot be set for service accounts.", "")
	case nu.email != "":
		return objection(http.StatusBadRequest, "Email cannot be set for service accounts.", "")
	}
	return objection(http.StatusForbidden, "Service Accounts is a Premium feature. Contact sales!", "")
}

func (e *exchange) checkNone(nu *newUser) *reply {
	if nu.loginType == "none" {
		return objection(http.StatusBadRequest, "Login type 'none' requires a service account.", "")
	}
	return nil
}

func (e *exchange) checkPasswordWanted(nu *newUser) *reply {
	switch {
	case nu.password == "":
		return nil
	case e.version == v2x0 && nu.disableLogin:
		return objection(http.StatusBadRequest, "Cannot set password when disabling login.", "")
	case nu.login != "password":
		return objection(http.StatusBadRequest,
			fmt.Sprintf("Password cannot be set for non-password (%q) authentication.", nu.login), "")
	}
	return nil
}

func (e *exchange) checkPasswordAuth(nu *newUser) *reply {
	if nu.login == "password" && e.settings.DisablePasswordAuth {
		return objection(http.StatusForbidden, "Password based authentication is disabled! "+
			"Unable to provision new users with password authentication.", "")
	}
	return nil
}

// checkTaken: a caller who may not look users up gets an error of the lookup's from newer versions.
func (e *exchange) checkTaken(nu *newUser) *reply {
	switch {
	case !e.taken(nu.username, nu.email):
		return nil
	case e.version >= v2x31 && !e.caller.administers():
		return objection(http.StatusInternalServerError, "Internal error fetching user.", "unauthorized: rbac: forbidden")
	}
	return objection(http.StatusConflict, "User already exists.", "")
}

func (e *exchange) checkOrganizationGiven(nu *newUser) *reply {
	if len(nu.orgs) > 0 {
		return nil
	}
	return objection(http.StatusBadRequest, "No organization specified to place the user as a member of. "+
		"It is required to specify at least one organization id to place the user in.",
		"required at least 1 value for the array 'organization_ids'",
		validation("organization_ids", "Missing values, this cannot be empty"))
}

// checkOrganizations puts the default organization in the place of the nil UUID.
func (e *exchange) checkOrganizations(nu *newUser) *reply {
	for i, id := range nu.orgs {
		if id == uuid.Nil {
			nu.orgs[i] = e.orgs[0].id
		} else if !slices.ContainsFunc(e.orgs, func(o *organization) bool { return o.id == id }) {
			return objection(http.StatusNotFound,
				fmt.Sprintf("Organization does not exist with the provided id %q.", id), "")
		}
	}
	return nil
}

func (e *exchange) checkLogin(nu *newUser) *reply {
	switch nu.login {
	case "none", "github":
		return nil
	case "password":
		return e.checkStrength(nu)
	case "oidc":
		if e.settings.OIDC {
			return nil
		}
		return objection(http.StatusBadRequest, "You must configure OIDC before creating OIDC users.", "")
	}
	rep := refusal(http.StatusBadRequest,
		fmt.Sprintf("Unsupported login type %q for manually creating new users.", nu.login), "")
	if e.version < v2x31 { // a return was missing there
		rep.body += `{"message":"Internal error creating user.","detail":"execute transaction: create user: ` +
			`pq: invalid input value for enum login_type: \"\""}` + "\n"
	}
	return &rep
}

func (e *exchange) checkStrength(nu *newUser) *reply {
	weakness := passwordWeakness(nu.password)
	if weakness == "" {
		return nil
	}
	message := "Password is invalid"
	if e.version < v2x31 {
		message = "Password not strong enough!"
	}
	return objection(http.StatusBadRequest, message, "", validation("password", weakness))
}

func (e *exchange) checkCreator(*newUser) *reply {
	if e.caller.is("owner") || e.version > v2x0 && e.caller.administers() {
		return nil
	}
	return objection(http.StatusForbidden, "You are not authorized to create users.", "")
}

// checkInsertion is what the database objects to.
func (e *exchange) checkInsertion(nu *newUser) *reply {
	const message = "Internal error creating user."
	for _, role := range nu.roles {
		if roleNames[role] == "" {
			return objection(http.StatusInternalServerError, message,
				fmt.Sprintf("execute transaction: create user: %q is not a supported role", role))
		}
	}
	for i, id := range nu.orgs {
		if slices.Contains(nu.orgs[:i], id) {
			return objection(http.StatusInternalServerError, message, fmt.Sprintf("execute transaction: "+
				"create organization member for %q: pq: duplicate key value violates unique constraint "+
				"%q", id, "organization_members_pkey"))
		}
	}
	return nil
}
