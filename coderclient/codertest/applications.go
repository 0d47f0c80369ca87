package codertest

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
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
	case !e.isAppHost(to.Hostname()) && e.proxyOf(to.Hostname()) == nil:
		return refusal(http.StatusBadRequest, "Invalid redirect_uri.", "The redirect_uri query parameter must be the "+
			"primary wildcard app hostname, a workspace proxy access URL or a workspace proxy wildcard app hostname.")
	}
	to.Scheme = "http"
	if proxy := e.proxyOf(to.Hostname()); proxy != nil && !e.isAppHost(to.Hostname()) {
		to.Scheme, _, _ = strings.Cut(proxy.URL, "://")
	}
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

// Of workspace proxies there is no recording: regions and proxyOf are taken from Coder's source, which for both is the same from 2.0.2 to
// 2.36.0 (coderd/workspaceproxies.go, enterprise/coderd/workspaceproxy.go, codersdk/workspaceproxy.go, and
// GetWorkspaceProxyByHostname in coderd/database/queries/proxies.sql).
func (e *exchange) regions() reply {
	list := []object{regionJSON(e.deployment, Proxy{Name: "primary", URL: e.URL, Wildcard: e.settings.AppHost}, true)}
	for _, proxy := range e.settings.Proxies {
		id := uuid.NewSHA1(e.deployment, []byte(proxy.Name))
		list = append(list, regionJSON(id, proxy, proxy.URL != ""))
	}
	return jsonReply(http.StatusOK, object{"regions": list})
}

func regionJSON(id uuid.UUID, p Proxy, healthy bool) object {
	display, icon := p.Name, ""
	if p.Name == "primary" {
		display, icon = "Default", "/emojis/1f3e1.png"
	}
	return object{
		"id": id, "name": p.Name, "display_name": display, "icon_url": icon, "healthy": healthy,
		"path_app_url": p.URL, "wildcard_hostname": p.Wildcard,
	}
}

// proxyOf compares as SQL does: any text, dots included, stands for the asterisk, and ports do not count.
func (e *exchange) proxyOf(host string) *Proxy {
	for i, p := range e.settings.Proxies {
		access, err := url.Parse(p.URL)
		suffix, isWildcard := strings.CutPrefix(p.Wildcard, "*")
		if err == nil && host != "" && access.Hostname() == host || isWildcard && strings.HasSuffix(host, suffix) {
			return &e.settings.Proxies[i]
		}
	}
	return nil
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
