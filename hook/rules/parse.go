package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"coderhook/hook/grant"

	"go.yaml.in/yaml/v3"
)

const (
	// MaxFile is how long a policy file may be, in bytes.
	MaxFile   = 256 << 10
	maxRules  = 100
	maxReason = 200 // characters
	maxList   = 100 // scopes, or things that they are for
)

// Parse reads a policy file. Columns are those that profile has. The error joins the faults, each with its line; none
// shows a value of the file.
func Parse(text []byte, columns []string) (*Policy, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("it has more than %d bytes", MaxFile)
	}
	var document, further yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(&document)
	if err == nil {
		err = decoder.Decode(&further)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.TrimPrefix(syntax.FindString(err.Error()), "yaml: ") + "it is no YAML")
	}
	if len(further.Content) > 0 {
		return nil, fmt.Errorf("line %d: a second document begins: write all rules into one, without ---", further.Line)
	}
	if len(document.Content) == 0 {
		return nil, errors.New("it is empty; write rules: and the rules below it")
	}
	r := &reader{columns: columns}
	policy := &Policy{text: text}
	r.members(document.Content[0], "the file", map[string]func(*yaml.Node){
		"rules": func(n *yaml.Node) { policy.Rules = r.rules(n) },
	}, "rules")
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	for _, rule := range policy.Rules {
		policy.uses.add(rule.When.uses)
		if rule.Give != nil && rule.Give.AAL != "" {
			policy.uses.notes("aal")
		}
	}
	policy.nameSets()
	return policy, nil
}

// syntax is the part of YAML's error that has no value in it.
var syntax = regexp.MustCompile(`^yaml: line \d+: `)

// reader collects what is wrong.
type reader struct {
	columns []string
	faults  []error
}

func (r *reader) fault(line int, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("line %d: "+format, append([]any{line}, args...)...))
}

// members hands each member of a mapping to who reads it. One that is not known, or there twice, is a fault.
func (r *reader) members(n *yaml.Node, what string, known map[string]func(*yaml.Node), required ...string) {
	if n.Kind != yaml.MappingNode {
		r.fault(n.Line, "%s has to have members: %s", what, names(known))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		read, ok := known[name.Value]
		switch {
		case !ok:
			r.fault(name.Line, "%s has no member of this name; it has %s", what, names(known))
		case seen[name.Value]:
			r.fault(name.Line, "%s has %s twice", what, name.Value)
		case value.Kind == yaml.AliasNode || value.Anchor != "":
			r.fault(name.Line, "%s: anchors and aliases are not taken; write it out", name.Value)
		default:
			read(value)
		}
		seen[name.Value] = true
	}
	for _, name := range required {
		if !seen[name] {
			r.fault(n.Line, "%s lacks %s", what, name)
		}
	}
}

func names(known map[string]func(*yaml.Node)) string {
	list := make([]string, 0, len(known))
	for name := range known {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (r *reader) rules(n *yaml.Node) (list []*Rule) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		r.fault(n.Line, "rules is no list; write each rule behind a -")
		return nil
	}
	if len(n.Content) > maxRules {
		r.fault(n.Line, "there are more than %d rules", maxRules)
		return nil
	}
	for _, item := range n.Content {
		rule := r.rule(item)
		if slices.ContainsFunc(list, func(known *Rule) bool { return known.Name == rule.Name && rule.Name != "" }) {
			r.fault(item.Line, "two rules have the same name")
		}
		list = append(list, rule)
	}
	return list
}

// ruleName is a metric's label, and stands in logs.
var ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

func (r *reader) rule(n *yaml.Node) *Rule {
	rule := &Rule{}
	r.members(n, "a rule", map[string]func(*yaml.Node){
		"name": func(n *yaml.Node) {
			if rule.Name = r.text(n, "name"); !ruleName.MatchString(rule.Name) {
				r.fault(n.Line, "name: it may have up to 63 lower-case letters, digits, - and _")
			}
		},
		"when":   func(n *yaml.Node) { rule.When = r.when(n) },
		"give":   func(n *yaml.Node) { rule.Give = r.give(n) },
		"reason": func(n *yaml.Node) { rule.Reason = r.reason(n) },
	}, "name", "when", "give")
	if rule.Reason != "" && rule.Give != nil {
		r.fault(n.Line, "reason is for rules with give: none")
	}
	return rule
}

func (r *reader) text(n *yaml.Node, name string) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.fault(n.Line, "%s is no text", name)
		return ""
	}
	return n.Value
}

func (r *reader) when(n *yaml.Node) *Expr {
	source := r.text(n, "when")
	if n.Kind != yaml.ScalarNode {
		return nil
	}
	expr, err := Compile(source, r.columns)
	if fault, ok := errors.AsType[*Fault](err); ok {
		line := n.Line + fault.Line - 1
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			line++ // it begins below its mark
		}
		r.fault(line, "when: %s", fault.Message)
	}
	return expr
}

// reason is sent to users, also in a quoted header.
func (r *reader) reason(n *yaml.Node) string {
	text := strings.TrimSpace(r.text(n, "reason"))
	if len([]rune(text)) > maxReason || strings.ContainsFunc(text, unicode.IsControl) || strings.ContainsAny(text, `"\`) {
		r.fault(n.Line, "reason: it may have up to %d characters in one line, and no quotation marks or backslashes", maxReason)
	}
	return text
}

func (r *reader) give(n *yaml.Node) *Give {
	if n.Kind == yaml.ScalarNode {
		if n.Value != "none" {
			r.fault(n.Line, "give: write none, or what is given; {} gives what all get without rules")
		}
		return nil
	}
	give, made := &Give{}, grant.Grant{}
	r.members(n, "give", map[string]func(*yaml.Node){
		"scopes": func(n *yaml.Node) { made.Scopes = r.list(n, "scopes", scope, "workspace:read or coder:all") },
		"allow_list": func(n *yaml.Node) {
			made.AllowList = r.list(n, "allow_list", allowed, "workspace:* or template:<uuid>")
		},
		"lifetime": func(n *yaml.Node) { made.Lifetime = r.lifetime(n) },
		"organization": func(n *yaml.Node) {
			if give.Organization = r.text(n, "organization"); !organization.MatchString(give.Organization) {
				r.fault(n.Line, "organization: write its name in Coder, or its id")
			}
		},
		"in_claims": func(n *yaml.Node) { give.InClaims = r.flag(n, "in_claims") },
		"aal": func(n *yaml.Node) {
			if give.AAL = r.text(n, "aal"); !slices.Contains([]string{"aal1", "aal2", "aal3"}, give.AAL) {
				r.fault(n.Line, "aal: write aal1, aal2 or aal3")
			}
		},
	})
	give.Grant, give.Lifetime, give.grant = made.String(), made.Lifetime, made
	return give
}

var (
	// As Coder names them: https://coder.com/docs/reference/api-key-scopes.
	scope        = regexp.MustCompile(`^[a-z_]{1,40}:([a-z_.]{1,40}|\*)$`)
	allowed      = regexp.MustCompile(`^([a-z_]{1,40}|\*):(\*|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)
	organization = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
)

func (r *reader) list(n *yaml.Node, name string, form *regexp.Regexp, like string) (list []string) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxList {
		r.fault(n.Line, "%s has to be a list of 1 to %d", name, maxList)
		return nil
	}
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || !form.MatchString(item.Value) {
			r.fault(item.Line, "%s: write them like %s", name, like)
			return nil
		}
		list = append(list, item.Value)
	}
	return list
}

func (r *reader) flag(n *yaml.Node, name string) *bool {
	var set bool
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Decode(&set) != nil {
		r.fault(n.Line, "%s: write true or false", name)
		return nil
	}
	return &set
}

// minLifetime is twice the shortest life that Supabase's dashboard recommends for an access token.
const minLifetime = 10 * time.Minute

func (r *reader) lifetime(n *yaml.Node) time.Duration {
	lifetime, err := time.ParseDuration(r.text(n, "lifetime"))
	if err != nil || lifetime < minLifetime {
		r.fault(n.Line, "lifetime: write it like 720h, at least %s", minLifetime)
	}
	return lifetime
}
