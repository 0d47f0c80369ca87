package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/coderclient"
	"coderhook/hook/keyring"
	"coderhook/hook/provision"
	"coderhook/hook/rules"
	"coderhook/store"

	"github.com/google/uuid"
)

type explainCmd struct {
	User string `required:"" help:"The Supabase user's id or e-mail address." placeholder:"UUID|E-MAIL"`
}

// Run tells what the server knows of a user, and what the next mint would do and why. It changes nothing.
func (cmd explainCmd) Run(env *environment) error {
	c, err := config.Read(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	database, err := store.Open(env.ctx, c.Database)
	if err != nil {
		return err
	}
	defer database.Close()
	users, err := usersOf(env.ctx, database, cmd.User)
	if err != nil {
		return err
	}
	coder, err := coderclient.New(c.Coder)
	if err != nil {
		return err
	}
	e := &explainer{database, coder, c.Provisioning, c.Rules}
	for _, user := range users {
		if err := e.explain(env.ctx, env.stdout, user); err != nil {
			return err
		}
	}
	return nil
}

// coderPatience bounds the question to Coder, without whose answer the rest is told all the same.
const coderPatience = 15 * time.Second

// explainer tells of users.
type explainer struct {
	database *store.Store
	coder    *coderclient.Client
	options  provision.Options
	rules    config.Rules
}

func (e *explainer) explain(ctx context.Context, w io.Writer, user uuid.UUID) error {
	account, err := e.database.LookupSets(ctx, user)
	if err != nil {
		return err
	}
	life := account.TokenLife
	if life == 0 {
		life = time.Hour // Supabase's default
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	row("user", "%s", user)
	row("in Supabase", "%s", inSupabase(ctx, e.database, user, e.options.Now()))
	row("profile", "%s", inProfile(account))
	row("ledger", "%s", inLedger(account))
	for _, key := range account.Sets {
		row("beside the profile", "%s", e.beside(account, key))
	}
	if account.CoderUserID != uuid.Nil {
		row("in Coder", "%s", e.inCoder(ctx, account))
	}
	row("last error", "%s", cmp.Or(account.LastError, "none"))
	if ways := keyring.WaysOut(account); ways != "" {
		row("ways out", "%s", ways)
	}
	row("the next mint", "%s", keyring.Explain(e.options, account, e.options.Now().Add(life)))
	row("", "(of a token for an authenticated user with an e-mail address, that lives %s)", life)
	if err := table.Flush(); err != nil || e.rules.Policy == nil {
		return err
	}
	return e.explainRules(ctx, w, account, life)
}

// beside tells of a key of sessions that are given another than the profile's.
func (e *explainer) beside(a store.Account, key store.SetKey) string {
	var of []string
	if e.rules.Policy != nil && !e.rules.Audit {
		of = e.rules.Policy.RulesOf(key.Set)
	}
	text := fmt.Sprintf("key %s until %s, ", key.ID, key.ExpiresAt.UTC().Format(time.RFC3339))
	switch {
	case key.CoderUserID != a.CoderUserID:
		return text + "of another Coder user: it is handed out to nobody"
	case len(of) == 0:
		text += "which no rule gives any more"
	default:
		text += "of rule " + strings.Join(of, ", ")
	}
	if err := a.In(key.Set).Unreadable(); err != nil {
		text += "; it can't be read: " + err.Error()
	}
	if key.Unseen {
		text += "; no token has carried it"
	}
	return text
}

// explainRules tells what the rules make of the user, whatever the session, and of each key that a session may be given.
func (e *explainer) explainRules(ctx context.Context, w io.Writer, a store.Account, life time.Duration) error {
	facts, err := e.database.UserFacts(ctx, []uuid.UUID{a.UserID})
	if err != nil || len(facts) != 1 || !facts[0].Exists {
		return err
	}
	of := rules.OfUser(facts[0])
	of.Chained = e.rules.Chained
	d := e.rules.Policy.Decide(of)
	text := outcome(d)
	sets := e.rules.Policy.Sets(of, nil)
	several := e.rules.Policy.Several() && len(sets.All) > 1
	if e.rules.Audit {
		text += "; POLICY_MODE=audit only tells so"
	} else if !several && d.Give != nil && d.Give.Grant != a.KeyGrant && a.KeyID != "" {
		text += "; the key was made with something else, so that the next mint makes another before it answers"
	}
	if !a.IneligibleSince.IsZero() {
		text += "; not eligible since " + a.IneligibleSince.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(w, "by the rules: %s\n", text)
	for _, give := range sets.All {
		if set := sets.Of(give); several && !e.rules.Audit {
			names := strings.Join(e.rules.Policy.RulesOf(give.Set()), ", ")
			fmt.Fprintf(w, "a session of rule %s has %s: its next mint %s\n", names, place(set), keyring.Explain(e.options, a.In(set), e.options.Now().Add(life)))
		}
	}
	return trace(w, e.rules.Policy, of)
}

// place says where a key stands.
func place(set string) string {
	if set == "" {
		return "the profile's key"
	}
	return "a key beside the profile"
}

// inCoder returns what Coder says of the account, and where the addresses differ: Coder sends mail to the one that it
// knows.
func (e *explainer) inCoder(ctx context.Context, a store.Account) string {
	ctx, cancel := context.WithTimeout(ctx, coderPatience)
	defer cancel()
	user, err := e.coder.User(ctx, a.CoderUserID.String())
	if err != nil {
		return "not known: " + err.Error()
	}
	text := fmt.Sprintf("%s, %s, %s", user.Username, user.Status, user.Email)
	having, err := e.database.AuthUserIDs(ctx, user.Email)
	switch {
	case err != nil:
		return text
	case !slices.Contains(having, a.UserID) && len(having) > 0:
		return fmt.Sprintf("%s: not the address that Supabase has of this user, but that of %s", text, having[0])
	case !slices.Contains(having, a.UserID):
		return text + ": not the address that Supabase has of this user"
	}
	return text
}

func inSupabase(ctx context.Context, database *store.Store, user uuid.UUID, now time.Time) string {
	found, err := database.AuthUsers(ctx, []uuid.UUID{user})
	switch {
	case err != nil:
		return "not known: " + err.Error()
	case len(found) != 1 || !found[0].Exists:
		return "no such user (or one whose sign-up is not committed)"
	case !found[0].DeletedAt.IsZero():
		return "deleted at " + found[0].DeletedAt.UTC().Format(time.RFC3339)
	case found[0].BannedUntil.After(now):
		return "banned until " + found[0].BannedUntil.UTC().Format(time.RFC3339)
	}
	return "exists"
}

func inProfile(a store.Account) string {
	switch {
	case !a.HasProfile:
		return "no row"
	case a.Unreadable() != nil:
		return a.Unreadable().Error()
	case a.APIKey == "":
		return "no key"
	case coderclient.KeyID(a.APIKey) == "":
		return "something that has not the form of a Coder key"
	}
	if a.Encryption == store.Encrypted {
		return "key " + coderclient.KeyID(a.APIKey) + ", encrypted"
	}
	return "key " + coderclient.KeyID(a.APIKey)
}

func inLedger(a store.Account) string {
	if !a.Known {
		return "no row"
	}
	text := fmt.Sprintf("%s since %s, Coder user %s", a.Status, a.UpdatedAt.UTC().Format(time.RFC3339), cmp.Or(a.CoderUsername, "none"))
	if a.KeyID != "" {
		text += fmt.Sprintf(", key %s until %s", a.KeyID, a.KeyExpiresAt.UTC().Format(time.RFC3339))
	}
	if a.KeyUnseen {
		text += ", which no token has carried"
	}
	if a.Leased {
		text += ", being worked at"
	}
	return text
}
