package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/hook/claims"
	"coderhook/hook/rules"
	"coderhook/store"

	"github.com/google/uuid"
)

type policyCmd struct {
	Test policyTestCmd `cmd:"" help:"Read a policy file, and show what it would do: for claims, for recorded events, or for all users of the database. Changes nothing."`
}

type policyTestCmd struct {
	File      string   `required:"" type:"existingfile" help:"The policy file."`
	Columns   []string `placeholder:"NAME" help:"The columns that profile has, like PROFILES_POLICY_COLUMNS, which is the default."`
	Claims    []string `type:"existingfile" placeholder:"FILE" help:"Claims, or a whole event, as JSON."`
	Recorded  []string `type:"path" placeholder:"PATH" help:"Recorded events: files, or folders of them."`
	Confirmed bool     `help:"The e-mail address of claims and events is confirmed."`
	Profile   string   `placeholder:"JSON" help:"Their profile's columns."`
	All       bool     `help:"All users of auth.users who may sign in. Needs DATABASE_URL."`
}

// Run says what the rules make of whatever was given.
func (cmd policyTestCmd) Run(env *environment) error {
	columns := cmd.Columns
	if columns == nil {
		columns = strings.FieldsFunc(env.getenv("PROFILES_POLICY_COLUMNS"), func(r rune) bool { return r == ',' || r == ' ' })
	}
	policy, err := rules.Source{Path: cmd.File, Columns: columns}.Read()
	if err != nil {
		return fmt.Errorf("%s has faults:\n%w", cmd.File, err)
	}
	fmt.Fprintf(env.stdout, "%d rules\n", len(policy.Rules))
	for _, warning := range policy.Warnings() {
		fmt.Fprintf(env.stdout, "warning: %s\n", warning)
	}
	for _, path := range cmd.Claims {
		if err := cmd.one(env.stdout, policy, path); err != nil {
			return err
		}
	}
	if len(cmd.Recorded) > 0 {
		if err := cmd.recorded(env.stdout, policy); err != nil {
			return err
		}
	}
	if cmd.All {
		return cmd.all(env, policy, columns)
	}
	return nil
}

// one tells of one token how it is decided.
func (cmd policyTestCmd) one(w io.Writer, policy *rules.Policy, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	facts, err := cmd.facts(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Fprintf(w, "%s: %s\n", path, outcome(policy.Decide(facts)))
	return trace(w, policy, facts)
}

// recorded is a table of events.
func (cmd policyTestCmd) recorded(w io.Writer, policy *rules.Policy) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "event\tdecision")
	for _, root := range cmd.Recorded {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".json" {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if facts, err := cmd.facts(text); err == nil { // a folder may hold other things
				fmt.Fprintf(table, "%s\t%s\n", filepath.Base(path), outcome(policy.Decide(facts)))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return table.Flush()
}

// facts reads claims, an event, or a recording of one.
func (cmd policyTestCmd) facts(text []byte) (rules.Facts, error) {
	var read struct {
		Request struct {
			Body string `json:"body"`
		} `json:"request"`
		Claims json.RawMessage `json:"claims"`
		Email  *string         `json:"email"`
	}
	if err := claims.Unmarshal(text, &read); err != nil {
		return rules.Facts{}, errors.New("it is neither claims nor an event in JSON")
	}
	switch {
	case read.Request.Body != "":
		return cmd.facts([]byte(read.Request.Body))
	case len(read.Claims) > 0:
		return cmd.facts(read.Claims)
	case read.Email == nil:
		return rules.Facts{}, errors.New("it holds no claims with an e-mail address")
	}
	facts := rules.Facts{Claims: text, Session: true, Created: time.Now(), Profile: []byte(cmd.Profile)}
	if cmd.Confirmed {
		facts.ConfirmedEmail = *read.Email
	}
	return facts, nil
}

// pageOfUsers is how many are read at a time.
const pageOfUsers = 500

// all is a table of rules, and how many users each decides about.
func (cmd policyTestCmd) all(env *environment, policy *rules.Policy, columns []string) error {
	c, err := config.ReadDatabase(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	c.PolicyColumns = columns
	database, err := store.Open(env.ctx, c)
	if err != nil {
		return err
	}
	defer database.Close()
	users, depends := make(map[string]int), make(map[string]int)
	err = eachUser(env.ctx, database, func(u store.UserFacts) {
		facts := rules.OfUser(u)
		facts.Chained = c.ChainHook != ""
		d := policy.Decide(facts)
		users[d.Rule]++
		if d.Depends {
			depends[d.Rule]++
		}
	})
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(env.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "rule\tusers\tof them by the session\tgives")
	for _, rule := range policy.Rules {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\n", rule.Name, users[rule.Name], depends[rule.Name], gives(rule.Give))
	}
	fmt.Fprintf(table, "no rule\t%d\t0\tnone\n", users[""])
	return table.Flush()
}

// eachUser goes through all who may sign in.
func eachUser(ctx context.Context, database *store.Store, do func(store.UserFacts)) error {
	for after := uuid.Nil; ; {
		ids, err := database.LivingUsers(ctx, after, pageOfUsers)
		if err != nil || len(ids) == 0 {
			return err
		}
		page, err := database.UserFacts(ctx, ids)
		if err != nil {
			return err
		}
		for _, user := range page {
			if user.Exists {
				do(user)
			}
		}
		after = slices.MaxFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	}
}

func gives(give *rules.Give) string {
	if give == nil {
		return "none"
	}
	text := "key"
	if give.Grant != "" {
		text += " " + give.Grant
	}
	if give.InClaims != nil && !*give.InClaims {
		text += ", not in the claims"
	}
	return text
}

// outcome is a decision in a line.
func outcome(d rules.Decision) string {
	text := "rule " + d.Rule
	if d.Rule == "" {
		text = "no rule holds"
	}
	switch {
	case d.Give == nil || d.LowAAL:
		text += ", no key: " + d.Reason
	default:
		text += ", " + gives(d.Give)
	}
	if d.Give != nil && d.Give.AAL != "" && !d.LowAAL {
		text += ", from " + d.Give.AAL + " on"
	}
	if d.Depends {
		text += " (it depends on the session)"
	}
	return text
}

// trace tells of each rule that was asked, and of each part of its condition.
func trace(w io.Writer, policy *rules.Policy, facts rules.Facts) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(indent, what string, truth rules.Truth, err error) {
		fmt.Fprintf(table, "%s%s\t%s", indent, what, truth)
		if err != nil {
			fmt.Fprintf(table, " (%v)", err)
		}
		fmt.Fprintln(table)
	}
	for _, step := range policy.Trace(facts) {
		row("  ", "rule "+step.Rule, step.Truth, step.Err)
		for _, part := range step.Parts {
			row("    ", part.Source, part.Truth, part.Err)
		}
	}
	return table.Flush()
}
