package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

// LinkPlan is what giving a Supabase user an existing Coder account means.
type LinkPlan struct {
	User  uuid.UUID
	Coder coderclient.User
	From  uuid.UUID // who had it, and is gone; zero for nobody
	Made  bool      // we made the Coder account, so that off-boarding may suspend it
	Moved bool      // From is there, and no longer has the account's address

	reactivate bool // it is suspended, and by us
	fromKeys   store.Account
}

// String says it in the words of the question that the operator is asked.
func (p LinkPlan) String() string {
	text := fmt.Sprintf("Supabase user %s gets Coder user %s (%s, created %s)",
		p.User, p.Coder.Username, p.Coder.Email, p.Coder.CreatedAt.Format("2006-01-02"))
	switch {
	case p.Moved:
		text += fmt.Sprintf(", which is that of %s, who is there but no longer has that address; all its tokens are deleted, and %s gets another account", p.From, p.From)
	case p.From != uuid.Nil:
		text += fmt.Sprintf(", which was that of %s, who is gone; tokens of theirs are deleted", p.From)
	}
	if p.reactivate {
		text += "; it is activated in Coder"
	}
	if !p.Made {
		text += "; off-boarding will take our tokens from it, and not suspend it"
	}
	return text
}

// refused is a reason why a link must not be.
type refused string

func (r refused) Error() string { return string(r) }

func refuse(format string, args ...any) error { return refused(fmt.Sprintf(format, args...)) }

// PlanLink finds out whether the user may have the Coder account of that name.
func (r *Reconciler) PlanLink(ctx context.Context, user uuid.UUID, coderName string) (LinkPlan, error) {
	return r.PlanMove(ctx, user, coderName, uuid.Nil)
}

// PlanMove is PlanLink for an account that may also be that of the user from, if they no longer have its address.
func (r *Reconciler) PlanMove(ctx context.Context, user uuid.UUID, coderName string, from uuid.UUID) (LinkPlan, error) {
	if err := r.linkable(ctx, user); err != nil {
		return LinkPlan{}, err
	}
	owner, err := r.Coder.User(ctx, coderName)
	if errors.Is(err, coderclient.ErrNotFound) {
		return LinkPlan{}, refuse("no user %s in Coder", coderName)
	}
	if err != nil {
		return LinkPlan{}, err
	}
	roles, err := r.Roles.Of(ctx, owner)
	if err != nil {
		return LinkPlan{}, err
	}
	if len(roles) > 0 {
		return LinkPlan{}, refuse("Coder user %s has roles (%s): a key of theirs is too much for a workspace", owner.Username, strings.Join(roles, ", "))
	}
	plan := LinkPlan{User: user, Coder: owner, Made: slices.Contains(r.Names.Ours(user), strings.ToLower(owner.Username))}
	if err := r.planTakeover(ctx, &plan, from); err != nil {
		return LinkPlan{}, err
	}
	if owner.Suspended() && !plan.reactivate {
		return LinkPlan{}, refuse("Coder user %s is suspended, and not by us: activate it in Coder first", owner.Username)
	}
	return plan, nil
}

// linkable refuses a Supabase user who is not there, or who has a Coder account.
func (r *Reconciler) linkable(ctx context.Context, user uuid.UUID) error {
	found, err := store.OneAuthUser(r.Ledger.AuthUsers(ctx, []uuid.UUID{user}))
	if err != nil {
		return err
	}
	if !found.Living(r.Now()) {
		return refuse("no user %s in Supabase who may sign in", user)
	}
	known, err := r.Ledger.Lookup(ctx, user)
	if err != nil {
		return err
	}
	if err := known.Distrust(); err != nil {
		return refuse("user %s: %v", user, err)
	}
	if known.CoderUserID != uuid.Nil {
		return refuse("user %s has a Coder account already: %s", user, known.CoderUsername)
	}
	return nil
}

// planTakeover refuses an account that a living user has, unless it is to be moved from this one.
func (r *Reconciler) planTakeover(ctx context.Context, plan *LinkPlan, from uuid.UUID) error {
	owner, err := r.Ledger.OwnerOf(ctx, plan.Coder.ID)
	none := errors.Is(err, store.ErrNotFound)
	switch {
	case from != uuid.Nil && (none || err == nil && owner != from):
		return refuse("Coder user %s is not that of %s", plan.Coder.Username, from)
	case none:
		return nil
	}
	if err != nil {
		return err
	}
	found, err := store.OneAuthUser(r.Ledger.AuthUsers(ctx, []uuid.UUID{owner}))
	if err != nil {
		return err
	}
	if found.Exists && found.DeletedAt.IsZero() { // also when banned: a ban can be lifted
		if err := r.movable(ctx, plan, owner, from); err != nil {
			return err
		}
		plan.Moved = true
	}
	known, err := r.Ledger.Lookup(ctx, owner)
	if err != nil {
		return err
	}
	if err := known.Distrust(); err != nil {
		return refuse("Coder user %s is that of %s: %v", plan.Coder.Username, owner, err)
	}
	plan.From, plan.fromKeys, plan.Made, plan.reactivate = owner, known, !known.Linked, plan.Coder.Suspended() && known.SuspendedByUs
	return nil
}

// movable: the address of the account is no longer its user's, but that of who is to have it.
func (r *Reconciler) movable(ctx context.Context, plan *LinkPlan, owner, from uuid.UUID) error {
	if from == uuid.Nil {
		return refuse("Coder user %s is that of another Supabase user, %s, who is there; if they no longer have its address, move it with --from %s", plan.Coder.Username, owner, owner)
	}
	having, err := r.Register.AuthUserIDs(ctx, plan.Coder.Email)
	switch {
	case err != nil:
		return err
	case slices.Contains(having, owner):
		return refuse("Coder user %s is that of %s, who still has its address %s", plan.Coder.Username, owner, plan.Coder.Email)
	case !slices.Contains(having, plan.User):
		return refuse("the address of Coder user %s, %s, is not that of %s", plan.Coder.Username, plan.Coder.Email, plan.User)
	}
	return nil
}

// stillSo plans once more, as the operator may have thought for long.
func (r *Reconciler) stillSo(ctx context.Context, plan LinkPlan) (LinkPlan, error) {
	from := uuid.Nil
	if plan.Moved {
		from = plan.From
	}
	now, err := r.PlanMove(ctx, plan.User, plan.Coder.Username, from)
	if why, no := errors.AsType[refused](err); no {
		return now, fmt.Errorf("changed since you were asked; nothing was done: %w", why)
	}
	if err != nil {
		return now, fmt.Errorf("nothing was done: %w", err)
	}
	if now.Coder.ID != plan.Coder.ID || now.String() != plan.String() { // who it is from, who made it, and the rest
		return now, fmt.Errorf("changed since you were asked; nothing was done: now %s", now)
	}
	return now, nil
}

// Link does what the plan says, and leaves an audit line with the actor's name. The next mint
// makes a key.
func (r *Reconciler) Link(ctx context.Context, plan LinkPlan, actor string) error {
	w := &walk{Reconciler: r}
	return w.holding(ctx, plan.User, func(ctx context.Context, lease store.Lease) error {
		plan, err := r.stillSo(ctx, plan)
		if err != nil {
			return err
		}
		if err := w.endTokensOf(ctx, plan); err != nil {
			return err
		}
		link := store.Link{
			CoderUser: plan.Coder.ID, Username: plan.Coder.Username, From: plan.From,
			Foreign: !plan.Made, Suspended: plan.reactivate, Actor: actor,
		}
		if err := r.Register.Link(ctx, lease, link, r.Now()); err != nil {
			return err
		}
		r.Log.Warn().Stringer("user_id", plan.User).Str("coder_user", plan.Coder.Username).Str("actor", actor).
			Stringer("from", plan.From).Bool("moved", plan.Moved).Msg("audit: linked by an operator")
		if plan.Moved { // a mint of theirs may have been under way
			if err := w.endEverything(ctx, plan.Coder.ID); err != nil {
				return fmt.Errorf("linked; tokens of %s may be left: %w", plan.From, err)
			}
		}
		if !plan.reactivate {
			return nil
		}
		if _, err := r.Coder.Activate(ctx, plan.Coder.ID); err != nil {
			return fmt.Errorf("linked; the next mint activates the Coder user, as this did not: %w", err)
		}
		return r.Ledger.Reactivate(ctx, lease)
	})
}

// endTokensOf deletes what whoever had the account before has of it.
func (w *walk) endTokensOf(ctx context.Context, plan LinkPlan) error {
	switch {
	case plan.Moved:
		return w.endEverything(ctx, plan.Coder.ID)
	case plan.From != uuid.Nil:
		return w.endTokens(ctx, plan.fromKeys)
	}
	return nil
}

// endEverything deletes all tokens of an account, also those that its user made: they would go on letting in
// somebody who is there and no longer to have it.
func (w *walk) endEverything(ctx context.Context, account uuid.UUID) error {
	tokens, err := w.Coder.Tokens(ctx, account)
	for _, token := range tokens {
		if err == nil && token.UserID == account {
			err = w.Coder.DeleteKey(ctx, account, token.ID)
		}
	}
	return err
}

// endTokens deletes all tokens of ours, in Coder and in the ledger.
func (w *walk) endTokens(ctx context.Context, a store.Account) error {
	if err := w.deleteTokens(ctx, a, func(coderclient.Key) bool { return true }); err != nil {
		return err
	}
	return w.deleteLedgers(ctx, a)
}
