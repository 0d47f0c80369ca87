package codertest

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// appKeyParam is what 2.x calls the parameter that hands an app its key.
const appKeyParam = "coder_application_connect_api_key_35e783"

func (e *exchange) applicationHost() reply {
	return jsonReply(http.StatusOK, object{"host": e.settings.AppHost})
}

func (e *exchange) authRedirect() reply {
	raw := e.r.URL.Query().Get("redirect_uri")
	to, err := url.Parse(raw)
	switch {
	case e.key.scope() == "application_connect":
		return notFound()
	case raw == "":
		return refusal(http.StatusBadRequest, "Missing redirect_uri query parameter.", "")
	case err != nil:
		return refusal(http.StatusBadRequest, "Invalid redirect_uri query parameter.", err.Error())
	case !e.isAppHost(to.Hostname()):
		return refusal(http.StatusBadRequest, "Invalid redirect_uri.", "The redirect_uri query parameter must be the "+
			"primary wildcard app hostname, a workspace proxy access URL or a workspace proxy wildcard app hostname.")
	}
	to.Scheme = "http"
	query := to.Query()
	query.Set(appKeyParam, e.newAppKey())
	to.RawQuery = query.Encode()
	return reply{status: http.StatusSeeOther, location: to.String()}
}

// isAppHost wants exactly one label, in lower case, in the place of the asterisk. Ports do not count.
func (e *exchange) isAppHost(host string) bool {
	wildcard, _, _ := strings.Cut(e.settings.AppHost, ":")
	suffix, ok := strings.CutPrefix(wildcard, "*")
	label, fits := strings.CutSuffix(host, suffix)
	return ok && fits && label != "" && !strings.Contains(label, ".") && strings.ToLower(host) == host
}

// newAppKey leaves one more key behind and returns something of the size and shape of its encryption.
func (e *exchange) newAppKey() string {
	k := e.newToken(e.caller, "", min(day, e.key.expires.Sub(e.time())).Truncate(time.Second))
	k.loginType, k.scopes = "password", []string{"coder:application_connect"}
	e.keys = append(e.keys, k)
	if e.version < v2x31 {
		return randomText(480)
	}
	return strings.Join([]string{randomText(120), randomText(43), randomText(16), randomText(190), randomText(22)}, ".")
}
