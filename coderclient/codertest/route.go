package codertest

import (
	"net/http"
	"slices"
	"strings"
)

type handler func(*exchange) reply

// access says what a route asks of the key.
type access int

const (
	public     access = iota
	keyed             // 401 without
	redirected        // sent to the login page without
)

type route struct {
	method, pattern string
	since           generation
	access          access
	handle          handler
}

// routes: where several patterns fit, the first one counts.
var routes = []route{
	{"GET", "", v2x0, public, (*exchange).greet},
	{"GET", "buildinfo", v2x0, public, (*exchange).buildInfo},
	{"GET", "users/first", v2x0, public, (*exchange).firstUser},
	{"POST", "users/login", v2x0, public, (*exchange).logIn},
	{"POST", "users/logout", v2x0, keyed, (*exchange).logOut},
	{"GET", "users/authmethods", v2x0, public, (*exchange).authMethods},
	{"GET", "deployment/config", v2x0, keyed, (*exchange).deploymentConfig},
	{"GET", "users", v2x0, keyed, (*exchange).searchUsers},
	{"POST", "users", v2x0, keyed, (*exchange).createUser},
	{"GET", "users/{user}", v2x0, keyed, (*exchange).getUser},
	{"DELETE", "users/{user}", v2x0, keyed, (*exchange).deleteUser},
	{"PUT", "users/{user}/status/suspend", v2x0, keyed, (*exchange).suspendUser},
	{"PUT", "users/{user}/status/activate", v2x0, keyed, (*exchange).activateUser},
	{"GET", "users/{user}/roles", v2x0, keyed, (*exchange).getRoles},
	{"PUT", "users/{user}/roles", v2x0, keyed, (*exchange).putRoles},
	{"PUT", "users/{user}/password", v2x0, keyed, (*exchange).putPassword},
	{"PUT", "users/{user}/profile", v2x0, keyed, (*exchange).putProfile},
	{"GET", "users/{user}/organizations", v2x0, keyed, (*exchange).userOrganizations},
	{"GET", "users/{user}/organizations/{name}", v2x0, keyed, (*exchange).userOrganization},
	{"GET", "users/{user}/keys/tokens", v2x0, keyed, (*exchange).listTokens},
	{"POST", "users/{user}/keys/tokens", v2x0, keyed, (*exchange).createToken},
	{"GET", "users/{user}/keys/tokens/tokenconfig", v2x0, keyed, (*exchange).tokenConfig},
	{"GET", "users/{user}/keys/tokens/{name}", v2x0, keyed, (*exchange).tokenByName},
	{"GET", "users/{user}/keys/{key}", v2x0, keyed, (*exchange).getKey},
	{"DELETE", "users/{user}/keys/{key}", v2x0, keyed, (*exchange).deleteKey},
	{"PUT", "users/{user}/keys/{key}/expire", v2x31, keyed, (*exchange).expireKey},
	{"GET", "organizations", v2x31, keyed, (*exchange).listOrganizations},
	{"POST", "organizations", v2x0, keyed, (*exchange).createOrganization},
	{"GET", "organizations/{name}", v2x0, keyed, (*exchange).getOrganization},
	{"GET", "workspaces", v2x0, keyed, (*exchange).listWorkspaces},
	{"GET", "workspaces/{workspace}", v2x0, keyed, (*exchange).getWorkspace},
	{"POST", "workspaces/{workspace}/builds", v2x0, keyed, (*exchange).createBuild},
	{"GET", "workspaces/{workspace}/watch", v2x0, keyed, (*exchange).watchBySSE},
	{"GET", "workspaces/{workspace}/watch-ws", v2x31, keyed, (*exchange).watchByWebSocket},
	{"GET", "users/{user}/workspace/{name}", v2x0, keyed, (*exchange).workspaceByName},
	{"GET", "workspacebuilds/{build}", v2x0, keyed, (*exchange).getBuild},
	{"GET", "workspacebuilds/{build}/logs", v2x0, keyed, (*exchange).buildLogs},
	{"GET", "workspaceagents/{agent}", v2x0, keyed, (*exchange).getAgent},
	{"GET", "workspaceagents/{agent}/logs", v2x13, keyed, (*exchange).agentLogs},
	{"GET", "workspaceagents/{agent}/pty", v2x0, keyed, (*exchange).terminal},
	{"GET", "notifications/inbox", v2x31, keyed, (*exchange).listInbox},
	{"GET", "notifications/inbox/watch", v2x31, keyed, (*exchange).watchInbox},
	{"GET", "templates", v2x13, keyed, (*exchange).listTemplates},
	{"GET", "organizations/{name}/templates", v2x0, keyed, (*exchange).listTemplates},
	{"POST", "files", v2x0, keyed, (*exchange).postFile},
	{"GET", "files/{file}", v2x0, keyed, (*exchange).getFile},
	{"GET", "applications/host", v2x0, keyed, (*exchange).applicationHost},
	{"GET", "regions", v2x0, keyed, (*exchange).regions},
	{"GET", "applications/auth-redirect", v2x0, redirected, (*exchange).authRedirect},
}

// routed finds the route. The path counts as decoded, so that an escaped slash separates; a slash at its end is
// nothing.
func (e *exchange) routed() reply {
	path := e.r.URL.Path
	if path == "/healthz" {
		return textReply(http.StatusOK, "OK")
	}
	rest, isAPI := strings.CutPrefix(path, apiPrefix)
	if !isAPI {
		return dashboard()
	}
	segments := strings.Split(strings.Trim(rest, "/"), "/")
	var others []route
	for _, rt := range routes {
		params, fits := rt.match(segments)
		switch {
		case !fits || e.version < rt.since:
		case rt.method == e.r.Method:
			e.params = params
			return e.admitted(rt)
		default:
			others = append(others, rt)
		}
	}
	if len(others) == 0 {
		return routeNotFound()
	}
	return e.otherMethod(others)
}

const apiPrefix = "/api/v2"

func (rt route) match(segments []string) (map[string]string, bool) {
	pattern := strings.Split(rt.pattern, "/")
	if len(pattern) != len(segments) {
		return nil, false
	}
	params := map[string]string{}
	for i, want := range pattern {
		switch {
		case strings.HasPrefix(want, "{") && segments[i] != "":
			params[strings.Trim(want, "{}")] = segments[i]
		case want != segments[i]:
			return nil, false
		}
	}
	return params, true
}

func (e *exchange) admitted(rt route) reply {
	if rt.access != public {
		if why := e.authenticate(rt.access); why != nil {
			return e.turnedAway(rt.access, *why)
		}
	}
	return rt.handle(e)
}

// otherMethod asks for a key first, as the check stands before the routing.
func (e *exchange) otherMethod(others []route) reply {
	if a := others[0].access; a == keyed {
		if why := e.authenticate(a); why != nil {
			return e.turnedAway(a, *why)
		}
	}
	rep := reply{status: http.StatusMethodNotAllowed, header: http.Header{}, unexpected: true}
	if e.version > v2x0 {
		var allow []string
		for _, rt := range others {
			allow = append(allow, rt.method)
		}
		rep.header["Allow"] = slices.Compact(allow)
	}
	return rep
}

// dashboard is what a wrong path prefix leads to: the page, with status 200.
func dashboard() reply {
	return reply{
		status:     http.StatusOK,
		header:     http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		body:       "<!doctype html><html><title>Coder</title></html>\n",
		unexpected: true,
	}
}
