package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Rule says of a kind of request whether it goes through.
type Rule struct {
	Allow bool
	Class string // names the rule, in metrics and to who is refused; one of a bounded set
	Why   string

	methods  []string
	pattern  string
	segments []string
}

// Rules is a table of rules. The first that fits counts.
type Rules []Rule

// webSocket stands for a WebSocket among a rule's methods.
const webSocket = "WS"

// The rules by which is refused what fits none.
var (
	notListed = Rule{Class: "not-listed", Why: "this route is not on the gateway's list"}
	notAPI    = Rule{Class: "not-api", Why: "only Coder's API is behind the gateway, not its pages and apps"}
	notNormal = Rule{Class: "path", Why: "the path is not in its normal form: letters, digits and -._~ between single slashes"}
)

// DefaultRules returns what a front end for workspaces needs.
func DefaultRules() Rules { return slices.Clone(defaultRules) }

func newRule(allow bool, class, methods, pattern, why string) Rule {
	return Rule{
		Allow: allow, Class: class, Why: why, methods: strings.FieldsFunc(methods, isSeparator), pattern: pattern,
		segments: strings.Split(pattern, "/"),
	}
}

func isSeparator(r rune) bool { return r == ' ' || r == ',' }

// decide finds the rule for a request. The path is in its normal form; method is webSocket for a WebSocket.
func (rules Rules) decide(method, path string) Rule {
	if path != apiPrefix && !strings.HasPrefix(path, apiPrefix+"/") {
		return notAPI
	}
	segments := strings.Split(path, "/")
	for _, rule := range rules {
		if rule.takes(method) && matchesAll(rule.segments, segments) {
			return rule
		}
	}
	return notListed
}

func (r *Rule) takes(method string) bool {
	if method == "HEAD" {
		method = "GET"
	}
	for _, m := range r.methods {
		if m == method || m == "*" {
			return true
		}
	}
	return false
}

func matchesAll(pattern, segments []string) bool {
	for i, want := range pattern {
		if want == "**" {
			return true // also where nothing is left
		}
		if i >= len(segments) || !matches(want, segments[i]) {
			return false
		}
	}
	return len(pattern) == len(segments)
}

func matches(want, segment string) bool {
	switch want {
	case "{any}":
		return segment != ""
	case "{id}":
		return len(segment) == 36 && uuid.Validate(segment) == nil
	case "{name}":
		return isName(segment)
	case "{number}":
		return segment != "" && strings.Trim(segment, "0123456789") == ""
	}
	return want == segment
}

// isName reports whether it can be the name of a user, workspace, template or version, or an id. Each begins and ends
// with a letter or digit.
func isName(s string) bool {
	return s != "" && s[0] != '.' && s[0] != '-' && s[len(s)-1] != '.' && s[len(s)-1] != '-' && !strings.Contains(s, "..")
}

// ParseRules reads a file of rules, each on a line of its own:
//
//	# only what is written here        (without this line: before the default rules)
//	replace
//	allow  GET,WS  /api/v2/workspaces/{id}/acl   # sharing
//	refuse *       /api/v2/files/**              # no uploads
//
// A refused request is told what stands after the # of its rule. The rules of a file are of the class "file".
func ParseRules(text []byte) (Rules, error) {
	var (
		rules   Rules
		faults  []error
		replace bool
		number  int
	)
	for line := range strings.Lines(string(text)) {
		number++
		words, why, _ := strings.Cut(line, "#")
		fields := strings.Fields(words)
		switch {
		case len(fields) == 0:
		case len(fields) == 1 && fields[0] == "replace" && len(rules) == 0:
			replace = true
		default:
			rule, err := parseRule(fields, strings.TrimSpace(why))
			if err != nil {
				faults = append(faults, fmt.Errorf("line %d: %w", number, err))
			}
			rules = append(rules, rule)
		}
	}
	if replace {
		return rules, errors.Join(faults...)
	}
	return append(rules, defaultRules...), errors.Join(faults...)
}

const ruleExample = `write it like "allow GET,WS /api/v2/workspaceagents/{id}/logs # why"`

var (
	placeholders = []string{"{id}", "{name}", "{number}", "{any}"}
	ruleMethods  = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", webSocket, "*"}
)

func parseRule(fields []string, why string) (Rule, error) {
	if len(fields) != 3 || fields[0] != "allow" && fields[0] != "refuse" {
		return Rule{}, errors.New(ruleExample)
	}
	if why == "" {
		why = "the operator's own rule"
	}
	rule := newRule(fields[0] == "allow", "file", fields[1], fields[2], why)
	for _, method := range rule.methods {
		if !slices.Contains(ruleMethods, method) {
			return Rule{}, fmt.Errorf("method %q is not one of %s", method, strings.Join(ruleMethods, ", "))
		}
	}
	return rule, rule.checkPattern()
}

func (r *Rule) checkPattern() error {
	if !strings.HasPrefix(r.pattern, apiPrefix+"/") {
		return fmt.Errorf("%s is not below %s/, and nothing else is ever passed on", r.pattern, apiPrefix)
	}
	for i, segment := range r.segments[1:] {
		last := i == len(r.segments)-2
		switch {
		case segment == "**" && r.Allow:
			return fmt.Errorf("%s: ** would allow what a later Coder adds; allow routes one by one", r.pattern)
		case segment == "**" && last, slices.Contains(placeholders, segment):
		case !isNormal(segment):
			return fmt.Errorf("%s: %q is neither text nor one of %s", r.pattern, segment, strings.Join(placeholders, ", "))
		}
	}
	return nil
}

// Opens names the default refusals that rules of a file lift, for the operator to know of.
func (rules Rules) Opens() (texts []string) {
	for _, rule := range rules {
		if !rule.Allow || rule.Class != "file" {
			continue
		}
		for _, other := range defaultRules {
			if !other.Allow && matchesAll(other.segments, sample(rule.segments)) {
				texts = append(texts, fmt.Sprintf("%s lets through what %q refuses: %s", rule.pattern, other.Class, other.Why))
				break
			}
		}
	}
	return texts
}

// sample is a path that fits the pattern.
func sample(pattern []string) []string {
	path := slices.Clone(pattern)
	for i, segment := range path {
		switch segment {
		case "{id}":
			path[i] = uuid.Nil.String()
		case "{name}", "{any}":
			path[i] = "me"
		case "{number}":
			path[i] = "1"
		}
	}
	return path
}
