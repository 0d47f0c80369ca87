package codertest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"coderhook/coderclient/codertest"
)

const day = 24 * time.Hour

// keyNames says what the recordings call a token of a user in "as".
var keyNames = map[string]string{
	"alice/t30": "alice-t30", "alice/t1ns": "alice-1ns", "alice/tsec": "alice-sec", "alice/byid": "alice-byid",
	"alice/tabs": "alice-tabs", "alice/tabs2": "alice-tabs2", "bob/b": "bob", "bob/whilesusp": "bob-s",
	"dorm/d": "dorm", "del/d": "del", "suspf/d": "suspf", "alice/s30-0": "s30", "uadm/ua": "uadm", "rateu/r": "rateu",
	"old1/zns": "o-zns", "old1/ns1": "o-ns1", "old1/e30": "o-e30", "olddorm/d": "o-dorm", "old2/nr": "nr",
	"lnone/t": "lnone", "alice/n-scopes-user-read": "n-scopes-user-read", "alice/ar1ns": "ar1ns",
	"ardorm/t": "ardorm", "aract/t": "aract", "ardel/t": "ardel", "hostdorm/t": "hostdorm", "alice/fresh": "fresh",
	"none-used/t": "none-used", "none-dormant/t": "none-dormant", "none-active/t": "none-active",
	"none-suspended/t": "none-suspended",
}

// keyIDs are recorded ids of tokens whose creation is not recorded.
var keyIDs = map[string][]string{
	"bob/b":         {"g8WUk65Jpt", "XUi3ZcdqUv", "7g5ADdU6n1", "AbBqfLs3tE"},
	"alice/s1999-0": {"2ioDEAP0Yb", "r6wokn97zh", "qH2uhtfvhk", "lXRiI7TFlw"},
	"alice/s30-0":   {"DatdHVJDSX", "tzKZQxfG03", "0fFQwYnTTu", "eSoOsSVcSh"},
	"alice/tabs":    {"VStqRcUUNp"},
	"alice/byid":    {"EKzeBiHYbK"},
	"ardorm/t":      {"VL1p4HCrzd"},
}

// oldSteps make up for what is not recorded, each before the exchange of that name. They are made over the API as far
// as they can be.
var oldSteps = map[string]func(*replay){
	"012-owner-token-168h": (*replay).logInOwner,
	"169-token-create-member-for-other": func(rp *replay) {
		rp.addUser("bob", "password")
		rp.addToken("bob", "b", 30*day)
	},
	"194-token-by-name-expired": func(rp *replay) { rp.addToken("alice", "t1ns", 1) },
	"233-key-after-delete-under-wrong-user": func(rp *replay) {
		rp.keys["alice-tabs2"] = rp.keys["alice-tabs"]
	},
	"245-suspend-bob": func(rp *replay) { rp.use("bob") },
	"270-del-user-delete": func(rp *replay) {
		rp.addToken("del", "d", day)
		rp.use("del")
	},
	"309-auth-redirect-suspended": func(rp *replay) {
		rp.addUser("suspf", "none")
		rp.addToken("suspf", "d", day)
		rp.request("owner", "PUT", "/users/suspf/status/suspend", "")
	},
	"410-slide-1999ms-read":                  addSlidingTokens,
	"414-slide-30d-aged-20d-read":            ageS30,
	"416-slide-30d-aged-20d-after-use":       func(rp *replay) { rp.use("s30") },
	"452-rate-exceeded":                      exhaustRateLimit,
	"501-nowildcard-auth-redirect-subdomain": func(rp *replay) { rp.setAppHost("") },
	"521-uadm-create":                        func(rp *replay) { rp.setAppHost("*.apps.localhost:7990") },
	"525-uadm-creates-token-for-other":       func(rp *replay) { rp.addUserAs("uadm", "byua", "none") },
	"720-max24h-tokenconfig":                 func(rp *replay) { rp.setMaxLifetime(day) },
	"740-norefresh-create-30d": func(rp *replay) {
		rp.setMaxLifetime(876600 * time.Hour)
		rp.server.Configure(func(set *codertest.Settings) { set.SlidingExpiry = false })
	},
	"742-norefresh-aged-20d-read": func(rp *replay) { rp.server.AgeKey(rp.keys["nr"][:10], 20*day) },
}

var newSteps = map[string]func(*replay){
	"012-owner-token-168h":           (*replay).logInOwner,
	"201-token-by-name-space":        func(rp *replay) { rp.addToken("alice", "a b", day) },
	"204-token-by-name-member-other": oldSteps["169-token-create-member-for-other"],
	"206-key-by-id": func(rp *replay) {
		rp.addToken("alice", "tsec", 2592000)
		rp.addToken("alice", "tabs", 7*day)
		rp.addToken("alice", "byid", day)
	},
	"267-dormant-user-create":          func(rp *replay) { rp.request("owner", "PUT", "/users/bob/status/activate", "") },
	"270-dormant-key-used":             func(rp *replay) { rp.addToken("dorm", "d", day) },
	"287-del-user-recreate-same-name":  func(rp *replay) { rp.request("owner", "DELETE", "/users/del", "") },
	"410-slide-1999ms-read":            addSlidingTokens,
	"414-slide-30d-aged-20d-read":      ageS30,
	"416-slide-30d-aged-20d-after-use": func(rp *replay) { rp.use("s30") },
	"452-rate-exceeded":                exhaustRateLimit,
	"481-bypass-header-user-admin": func(rp *replay) {
		rp.addUser("rateu", "password")
		rp.request("owner", "PUT", "/users/rateu/roles", `{"roles":["user-admin"]}`)
		rp.addToken("rateu", "r", day)
	},
	"501-nowildcard-auth-redirect-subdomain": func(rp *replay) { rp.setAppHost("") },
	"521-uadm-create":                        func(rp *replay) { rp.setAppHost("*.apps.localhost:7992") },
	"525-uadm-creates-token-for-other":       func(rp *replay) { rp.addUserAs("uadm", "byua", "password") },
	"601-suspend-an-owner": func(rp *replay) {
		rp.addUser("rolesf", "password")
		rp.request("owner", "PUT", "/users/rolesf/roles", `{"roles":["owner"]}`)
	},
	"607-legacy-none-get": func(rp *replay) { rp.server.SetLoginType("lnone", "none") },
	"638-auth-redirect-dormant-status-before": func(rp *replay) {
		rp.addUser("ardorm", "password")
		rp.addToken("ardorm", "t", 30*day)
	},
	"644-auth-redirect-fresh-active": func(rp *replay) {
		rp.addUser("aract", "password")
		rp.server.ActivateUser("aract")
		rp.addToken("aract", "t", day)
	},
	"645-auth-redirect-suspended-2": func(rp *replay) { rp.server.SuspendUser("aract") },
	"646-auth-redirect-deleted-user": func(rp *replay) {
		rp.addUser("ardel", "password")
		rp.addToken("ardel", "t", day)
		rp.request("owner", "DELETE", "/users/ardel", "")
	},
	"656-dormant-user-applications-host": func(rp *replay) {
		rp.addUser("hostdorm", "password")
		rp.addToken("hostdorm", "t", day)
	},
	"701-nopw-user-create-password": func(rp *replay) {
		rp.server.Configure(func(set *codertest.Settings) { set.DisablePasswordAuth = true })
	},
	"831-upgrade-after-owner-me": (*replay).upgrade,
}

// upgrade makes the users of an older server and upgrades it.
func (rp *replay) upgrade() {
	rp.server.SetProfile(codertest.ProfileV231)
	for _, name := range []string{"none-used", "none-dormant", "none-active", "none-suspended"} {
		rp.addUser(name, "none")
		rp.addToken(name, "t", 30*day)
	}
	rp.use("none-used")
	rp.server.ActivateUser("none-active")
	rp.server.SuspendUser("none-suspended")
	rp.server.SetProfile(codertest.ProfileNew)
}

func (rp *replay) logInOwner() {
	made := rp.request("", "POST", "/users/login", `{"email":"owner@example.test","password":"SomeSecurePassword!1"}`)
	rp.keys["owner-session"] = fmt.Sprint(made["session_token"])
}

func addSlidingTokens(rp *replay) {
	rp.addToken("alice", "s1999-0", 1999*time.Millisecond)
	rp.addToken("alice", "s30-0", 30*day)
}

func ageS30(rp *replay) { rp.server.AgeKey(rp.keys["s30"][:10], 20*day) }

func exhaustRateLimit(rp *replay) {
	for range 512 {
		rp.request("owner", "GET", "/users/alice/keys/AAAAAAAAAA", "")
	}
}

func (rp *replay) setAppHost(host string) {
	rp.server.Configure(func(set *codertest.Settings) { set.AppHost = host })
}

func (rp *replay) setMaxLifetime(d time.Duration) {
	rp.server.Configure(func(set *codertest.Settings) { set.MaxTokenLifetime = d })
}

func (rp *replay) addUser(name, loginType string) { rp.addUserAs("owner", name, loginType) }

// addUserAs tolerates a refusal: what follows shows whether there is such a user.
func (rp *replay) addUserAs(caller, name, loginType string) {
	body := map[string]any{
		"email": name + "@example.test", "username": name, "login_type": loginType,
		"organization_ids": []string{rp.server.OrganizationID().String()},
	}
	if name == "bob" {
		body["name"] = "Bob B"
	}
	if loginType == "none" {
		body["disable_login"] = true
	} else {
		body["password"] = "SomeSecurePassword!1"
	}
	raw, _ := json.Marshal(body)
	rp.request(caller, "POST", "/users", string(raw))
}

func (rp *replay) addToken(user, name string, lifetime time.Duration) {
	rp.t.Helper()
	made := rp.request("owner", "POST", "/users/"+user+"/keys/tokens",
		fmt.Sprintf(`{"token_name":%q,"lifetime":%d}`, name, lifetime))
	whole, ok := made["key"].(string)
	if !ok {
		rp.t.Fatalf("add token %s/%s: %v", user, name, made)
	}
	rp.name(user, name, whole)
}

func (rp *replay) use(key string) { rp.request(key, "GET", "/users/me", "") }

func (rp *replay) request(as, method, path, body string) map[string]any {
	rp.t.Helper()
	header := http.Header{}
	if as != "" {
		header.Set("Coder-Session-Token", rp.keys[as])
	}
	_, answer := rp.send(method, "/api/v2"+strings.ReplaceAll(path, " ", "%20"), header, body)
	object, _ := answer.(map[string]any)
	return object
}
