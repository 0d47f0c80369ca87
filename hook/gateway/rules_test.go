package gateway

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestRulesDecide(t *testing.T) {
	t.Parallel()
	id := uuid.NewString()
	rules := DefaultRules()
	for request, class := range map[string]string{
		"GET /api/v2/users/me": "user", "HEAD /api/v2/users/me": "user", "PUT /api/v2/users/me": "not-listed", "DELETE /api/v2/users/me": "not-listed",
		"GET /api/v2/users/me/keys": "keys", "POST /api/v2/users/me/keys/tokens": "keys", "GET /api/v2/users/bob/keys/tokens/x/y": "keys",
		"GET /api/v2/workspaceagents/" + id: "agents", "GET /api/v2/workspaceagents/me": "agent", "WS /api/v2/workspaceagents/" + id + "/pty": "agents",
		"GET /api/v2/workspaceagents/" + id + "/pty": "not-listed", "WS /api/v2/workspaceagents/" + id + "/coordinate": "network",
		"GET /api/v2/workspaces/{id}": "not-listed", "GET /api/v2/workspaces/" + strings.ReplaceAll(id, "-", ""): "not-listed",
		"GET /api/v2/users/alice/workspace/dev/builds/12": "workspaces", "GET /api/v2/users/alice/workspace/dev/builds/1x": "not-listed",
		"GET /api/v2x/users/me": "not-api", "GET /": "not-api", "GET /api/v2": "not-listed", "GET /api/v2/organizations/..x/templates": "not-listed",
		"PATCH /api/v2/workspaces/" + id + "/acl": "sharing", "POST /api/v2/users": "users", "PUT /api/v2/users/me/profile": "users",
	} {
		method, path, _ := strings.Cut(request, " ")
		if rule := rules.decide(method, path); rule.Class != class {
			t.Errorf("%s: %q (%s), want %q", request, rule.Class, rule.pattern, class)
		}
	}
}

// Nothing of the table opens what its first part refuses.
func TestTableOpensNothingItRefuses(t *testing.T) {
	t.Parallel()
	for _, rule := range defaultRules {
		if err := rule.checkPattern(); err != nil && rule.Allow {
			t.Error(err)
		}
		for _, method := range rule.methods {
			if method == "*" {
				method = "GET"
			}
			got := DefaultRules().decide(method, strings.ReplaceAll(strings.Join(sample(rule.segments), "/"), "**", "x"))
			if got.Allow != rule.Allow {
				t.Errorf("%s %s is decided by %s", method, rule.pattern, got.pattern)
			}
		}
		if rule.Why == "" || rule.Class == "" {
			t.Errorf("%s says nothing", rule.pattern)
		}
	}
}

func TestParseRules(t *testing.T) {
	t.Parallel()
	text := "# ours\nallow GET,PATCH /api/v2/workspaces/{id}/acl # sharing is on\n\nrefuse * /api/v2/files/** # no uploads\nrefuse POST /api/v2/files\n"
	rules, err := ParseRules([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.NewString()
	if r := rules.decide("PATCH", "/api/v2/workspaces/"+id+"/acl"); !r.Allow || r.Why != "sharing is on" {
		t.Errorf("%+v", r)
	}
	if r := rules.decide("GET", "/api/v2/files/"+id); r.Allow || r.Why != "no uploads" || r.Class != "file" {
		t.Errorf("%+v", r)
	}
	if r := rules.decide("GET", "/api/v2/users/me"); !r.Allow {
		t.Errorf("%+v", r)
	}
	if opens := rules.Opens(); len(opens) != 1 || !strings.Contains(opens[0], `"sharing"`) {
		t.Errorf("%q", opens)
	}
	rules, err = ParseRules([]byte("replace\r\nallow GET /api/v2/users/me\r\n"))
	if err != nil || len(rules) != 1 || rules.decide("GET", "/api/v2/workspaces").Class != "not-listed" {
		t.Errorf("%+v %v", rules, err)
	}
	for _, bad := range []string{
		"allow GET", "allow GET /x", "allow GET /api/v2/../x", "allow FETCH /api/v2/x", "permit GET /api/v2/x", "allow * /api/v2/**", "allow GET /api/v2/{user}",
		"allow GET /@{name}/{name}/apps/{name}", "allow GET /api/v2//x", "allow GET /api/v2/x/", "refuse * /api/v2/**/x", "allow GET /api/v2/users\nreplace", "allow GET /api/v2/a b",
	} {
		if _, err := ParseRules([]byte(bad)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Every byte that is not plain is refused, wherever it stands.
func TestNormalForm(t *testing.T) {
	t.Parallel()
	for b := range 256 {
		plain := strings.IndexByte("-._~ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", byte(b)) >= 0
		for _, segment := range []string{"a" + string([]byte{byte(b)}), string([]byte{byte(b)}) + "a", "a" + string([]byte{byte(b)}) + "a"} {
			if isNormal(segment) != plain {
				t.Errorf("%q: %v", segment, !plain)
			}
		}
	}
	for _, path := range []string{"", "/", "//", "/a/", "/a//b", "/.", "/..", "/a/..", "/a/../b", "/...", "a"} {
		if isNormalPath(path) {
			t.Errorf("%q", path)
		}
	}
}

// Wherever frames are cut by reads, their ends are found.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 3, 'a', 'b', 'c', 0x88, 2, 3, 0xe8}, uint8(1))
	f.Add([]byte{0x82, 126, 0, 5, 1, 2, 3, 4, 5, 0x89, 0}, uint8(3))
	f.Add([]byte{0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 1, 9, 9, 9, 9, 1}, uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		step := max(1, int(cut))
		ends := func(step int) (at []int, closed bool) {
			var frames frames
			for begin := 0; begin < len(stream); begin += step {
				part := stream[begin:min(begin+step, len(stream))]
				for n := 0; n < len(part); {
					n += frames.advance(part[n:])
					if frames.atBoundary() {
						at = append(at, begin+n)
					}
				}
			}
			return at, frames.closed
		}
		whole, closed := ends(len(stream) + 1)
		parts, alsoClosed := ends(step)
		if !slices.Equal(whole, parts) || closed != alsoClosed {
			t.Errorf("whole %v %v, in parts of %d %v %v", whole, closed, step, parts, alsoClosed)
		}
	})
}
