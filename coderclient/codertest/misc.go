package codertest

import (
	"net/http"
	"strings"
)

func (e *exchange) greet() reply { return jsonReply(http.StatusOK, object{"message": "👋"}) }

func (e *exchange) buildInfo() reply {
	o := object{
		"external_url": "https://github.com/coder/coder", "version": e.version.String(), "dashboard_url": e.URL,
		"workspace_proxy": false,
	}
	if e.version >= v2x13 {
		o["agent_api_version"], o["upgrade_message"], o["telemetry"] = "1.0", "", false
		o["deployment_id"] = e.deployment
	}
	if e.version >= v2x31 {
		o["provisioner_api_version"] = "1.15"
	}
	if e.version >= v2x36 {
		o["provisioner_api_version"], o["webpush_public_key"] = "1.18", randomText(87)
	}
	return jsonReply(http.StatusOK, o)
}

func (e *exchange) firstUser() reply {
	return jsonReply(http.StatusOK, object{"message": "The initial user has already been created!"})
}

// authMethods tells the login page what to show. GitHub's is on where Coder brings an app of its own for it.
func (e *exchange) authMethods() reply {
	github, oidc := object{"enabled": false}, object{"enabled": e.settings.OIDC, "signInText": "", "iconUrl": ""}
	if e.version >= v2x36 {
		github = object{"enabled": true, "default_provider_configured": true}
	}
	if e.settings.OIDC {
		oidc["signInText"] = "OpenID Connect"
	}
	password := object{"enabled": !e.settings.DisablePasswordAuth}
	return jsonReply(http.StatusOK, object{"password": password, "github": github, "oidc": oidc})
}

// deploymentConfig is for owners. Of its many settings there is one here.
func (e *exchange) deploymentConfig() reply {
	if !e.caller.is("owner") {
		return forbidden()
	}
	email := object{"from": "", "smarthost": e.settings.Smarthost, "hello": "localhost"}
	return jsonReply(http.StatusOK, object{"config": object{"notifications": object{"method": "smtp", "email": email}}, "options": []object{}})
}

// logIn answers the same to a wrong password, an unknown address and a user who has no password.
func (e *exchange) logIn() reply {
	f := e.fields("LoginWithPasswordRequest")
	email, password := f.text("email"), f.text("password")
	a := find(e.accounts, func(a *account) bool { return !a.deleted && strings.EqualFold(a.email, email) })
	switch {
	case f.fault != "":
		return badJSON(f.fault)
	case password == "":
		return refusal(http.StatusBadRequest, textInvalid, "", invalid("password", "required", ""))
	case e.settings.DisablePasswordAuth:
		return refusal(http.StatusForbidden, "Password authentication is disabled.", "")
	case a == nil || a.password == "" || a.password != password:
		return refusal(http.StatusUnauthorized, "Incorrect email or password.", "")
	case a.status == "suspended":
		return refusal(http.StatusUnauthorized, "Your account is suspended. Contact an admin to reactivate your account.", "")
	}
	k := e.newToken(a, "", day)
	k.loginType = "password"
	e.keys = append(e.keys, k)
	return jsonReply(http.StatusCreated, object{"session_token": k.whole()})
}
