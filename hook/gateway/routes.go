package gateway

// The table of routes: the first line that fits a request decides, and what no line fits is refused. Paths are below
// /api/v2. {id} stands for a uuid, {name} for a name, {number} for digits, {any} for any one segment, and ** for
// what is left, if anything is. GET allows HEAD too, and WS a WebSocket.
var defaultRules = []Rule{
	// What would let a key out, or an account be taken.
	refuse("keys", "*", "/users/{any}/keys/**", "keys are made and ended by this server alone"),
	refuse("app-keys", "*", "/applications/auth-redirect", "its answer holds a key; use this server's own /applications/auth-redirect"),
	refuse("ssh-keys", "*", "/users/{any}/gitsshkey", "a key for the user's repositories"),
	refuse("agent", "*", "/workspaceagents/me/**", "for agents, with their own token"),
	refuse("secrets", "*", "/users/{any}/secrets/**", "the user's secrets"),
	refuse("external-auth", "*", "/external-auth/**", "access to other services in the user's name"),
	refuse("oauth", "*", "/oauth2-provider/**", "access to Coder in the user's name"),
	refuse("login", "*", "/users/login", "signing in is Supabase's business"),
	refuse("login", "*", "/users/logout", "it would end the user's key"),
	refuse("login", "*", "/users/first", "signing in is Supabase's business"),
	refuse("login", "*", "/users/oauth2/**", "signing in is Supabase's business"),
	refuse("login", "*", "/users/oidc/**", "signing in is Supabase's business"),
	refuse("login", "*", "/users/oidc-claims", "signing in is Supabase's business"),
	refuse("login", "*", "/users/{any}/convert-login", "signing in is Supabase's business"),
	refuse("passwords", "*", "/users/{any}/password", "a way to sign in without Supabase"),
	refuse("passwords", "*", "/users/validate-password", "a way to sign in without Supabase"),
	refuse("passwords", "*", "/users/otp/**", "a way to sign in without Supabase"),
	refuse("users", "*", "/users", "accounts are made and read by this server"),
	refuse("users", "*", "/users/{any}/roles", "for administrators"),
	refuse("users", "*", "/users/{any}/status/**", "for administrators"),
	refuse("users", "*", "/users/{any}/profile", "names are given by this server"),
	refuse("users", "*", "/organizations/{any}/members/{any}/roles", "for administrators"),
	refuse("administration", "*", "/audit/**", "for administrators"),
	refuse("administration", "*", "/deployment/**", "for administrators"),
	refuse("administration", "*", "/debug/**", "for administrators"),
	refuse("administration", "*", "/licenses/**", "for administrators"),
	refuse("administration", "*", "/provisionerkeys/**", "for administrators"),
	refuse("state", "*", "/workspacebuilds/{any}/state", "it holds the secrets of what a workspace is made of"),
	refuse("sharing", "*", "/workspaces/{any}/acl", "it gives the workspace to others"),
	refuse("sharing", "*", "/workspaces/{any}/port-share", "it opens the workspace to others"),
	refuse("network", "*", "/workspaceagents/{any}/coordinate", "a tunnel into the workspace's network"),
	refuse("network", "*", "/tailnet/**", "a tunnel into the workspace's network"),

	// Who the user is, and what this Coder can do.
	allow("user", "GET", "/users/me", "the user's account"),
	allow("user", "GET", "/users/me/login-type", "how the account signs in"),
	allow("user", "GET", "/users/me/organizations", "where workspaces can be made"),
	allow("user", "GET", "/users/me/organizations/{name}", "where workspaces can be made"),
	allow("user", "GET PUT", "/users/me/appearance", "the user's own settings"),
	allow("user", "GET PUT", "/users/me/preferences", "the user's own settings"),
	allow("user", "GET", "/users/me/autofill-parameters", "what was filled in last"),
	allow("user", "POST", "/authcheck", "what the user may do"),
	allow("coder", "GET", "/buildinfo", "its version"),
	allow("coder", "GET", "/regions", "where its apps are"),
	allow("coder", "GET", "/experiments", "what it can do"),
	allow("coder", "GET", "/organizations", "where workspaces can be made"),
	allow("coder", "GET", "/organizations/{name}", "where workspaces can be made"),

	// Templates, to read.
	allow("templates", "GET", "/templates", "what workspaces can be made of"),
	allow("templates", "GET", "/templates/{id}", "one of them"),
	allow("templates", "GET", "/templates/{id}/versions", "its versions"),
	allow("templates", "GET", "/templates/{id}/versions/{name}", "one of them"),
	allow("templates", "GET", "/organizations/{name}/templates", "what workspaces can be made of"),
	allow("templates", "GET", "/organizations/{name}/templates/{name}", "one of them"),
	allow("templates", "GET", "/organizations/{name}/templates/{name}/versions/{name}", "its versions"),
	allow("templates", "GET", "/templateversions/{id}", "a version"),
	allow("templates", "GET", "/templateversions/{id}/rich-parameters", "what to ask before a workspace is made"),
	allow("templates", "GET", "/templateversions/{id}/presets", "what to ask before a workspace is made"),
	allow("templates", "GET", "/templateversions/{id}/resources", "what a workspace will have"),
	allow("templates", "WS", "/templateversions/{id}/dynamic-parameters", "what to ask, as it is filled in"),
	allow("templates", "POST", "/templateversions/{id}/dynamic-parameters/evaluate", "what to ask, as it is filled in"),

	// Workspaces.
	allow("workspaces", "GET", "/workspaces", "the user's workspaces"),
	allow("workspaces", "POST", "/users/me/workspaces", "a new workspace"),
	allow("workspaces", "POST", "/organizations/{name}/members/me/workspaces", "a new workspace"),
	allow("workspaces", "GET", "/users/{name}/workspace/{name}", "a workspace by its name"),
	allow("workspaces", "GET", "/users/{name}/workspace/{name}/builds/{number}", "one of its builds"),
	allow("workspaces", "GET PATCH", "/workspaces/{id}", "one workspace; its name"),
	allow("workspaces", "GET", "/workspaces/{id}/watch", "what happens to it"),
	allow("workspaces", "WS", "/workspaces/{id}/watch-ws", "what happens to it"),
	allow("workspaces", "WS", "/workspaces/{id}/agent-connection-watch", "what happens to it"),
	allow("workspaces", "PUT", "/workspaces/{id}/autostart", "when it starts"),
	allow("workspaces", "PUT", "/workspaces/{id}/autoupdates", "whether it is updated"),
	allow("workspaces", "PUT", "/workspaces/{id}/ttl", "when it stops"),
	allow("workspaces", "PUT", "/workspaces/{id}/extend", "when it stops"),
	allow("workspaces", "PUT", "/workspaces/{id}/dormant", "whether it is put away"),
	allow("workspaces", "PUT DELETE", "/workspaces/{id}/favorite", "whether it is shown first"),
	allow("workspaces", "POST", "/workspaces/{id}/usage", "that it is used"),
	allow("workspaces", "GET", "/workspaces/{id}/resolve-autostart", "whether it can start"),
	allow("workspaces", "GET", "/workspaces/{id}/timings", "how long it took"),

	// Builds.
	allow("builds", "GET POST", "/workspaces/{id}/builds", "start, stop and delete"),
	allow("builds", "GET", "/workspacebuilds/{id}", "one build"),
	allow("builds", "PATCH", "/workspacebuilds/{id}/cancel", "end it"),
	allow("builds", "GET WS", "/workspacebuilds/{id}/logs", "what it says"),
	allow("builds", "GET", "/workspacebuilds/{id}/parameters", "what was filled in"),
	allow("builds", "GET", "/workspacebuilds/{id}/resources", "what it made"),
	allow("builds", "GET", "/workspacebuilds/{id}/timings", "how long it took"),

	// Agents.
	allow("agents", "GET", "/workspaceagents/{id}", "one agent"),
	allow("agents", "GET WS", "/workspaceagents/{id}/logs", "what it says"),
	allow("agents", "GET", "/workspaceagents/{id}/watch-metadata", "how the workspace does"),
	allow("agents", "WS", "/workspaceagents/{id}/watch-metadata-ws", "how the workspace does"),
	allow("agents", "GET", "/workspaceagents/{id}/listening-ports", "what runs in it"),
	allow("agents", "GET", "/workspaceagents/{id}/containers", "what runs in it"),
	allow("agents", "WS", "/workspaceagents/{id}/containers/watch", "what runs in it"),
	allow("agents", "WS", "/workspaceagents/{id}/pty", "a terminal"),

	// Apps: only where they are. Coder would hand the key of a request on to an app.
	allow("apps", "GET", "/applications/host", "where apps are"),

	// Files and notifications.
	allow("files", "POST", "/files", "an upload"),
	allow("files", "GET", "/files/{id}", "a download"),
	allow("notifications", "GET", "/notifications/inbox", "what the user is told"),
	allow("notifications", "WS", "/notifications/inbox/watch", "what the user is told"),
	allow("notifications", "PUT", "/notifications/inbox/mark-all-as-read", "what was read"),
	allow("notifications", "PUT", "/notifications/inbox/{id}/read-status", "what was read"),
	allow("notifications", "GET PUT", "/users/me/notifications/preferences", "what the user is told of"),
}

func allow(class, methods, below, why string) Rule {
	return newRule(true, class, methods, apiPrefix+below, why)
}

func refuse(class, methods, below, why string) Rule {
	return newRule(false, class, methods, apiPrefix+below, why)
}

// apiPrefix is before all that the gateway passes on. What lies beside it are workspace apps, to which Coder would
// hand the key on, and pages.
const apiPrefix = "/api/v2"
