package doctor

import (
	"context"
	"strings"

	"coderhook/cmd/internal/sender"
	"coderhook/store"

	"github.com/google/uuid"
)

// checkChain looks at the access-token hook that ours displaces: Supabase Auth has one slot.
func (d *Doctor) checkChain(ctx context.Context, i *store.Inspector) error {
	const check = "chained hook"
	name := d.config.Database.ChainHook
	known, err := i.TokenHooks(ctx)
	if err != nil {
		return err
	}
	if name != "" {
		return d.checkChained(ctx, i)
	}
	if len(known) > 0 {
		d.warn(check, cure{do: "if it was the project's hook, set CHAIN_HOOK=" + known[0] + " and run doctor again; if not, revoke its execution from supabase_auth_admin or drop it"},
			"%s looks like an access-token hook: Supabase Auth calls one, which is ours from now on, so that its claims would be missing", strings.Join(known, ", "))
	}
	return nil
}

// checkChained tries it for a user who does not exist, and takes back what it did.
func (d *Doctor) checkChained(ctx context.Context, i *store.Inspector) error {
	const check = "chained hook"
	name := d.config.Database.ChainHook
	hook, err := i.ChainHook(ctx)
	switch {
	case err != nil:
		return err
	case !hook.Exists:
		d.fail(check, cure{do: "set CHAIN_HOOK to the function that was the project's hook, or leave it away"}, "there is no %s(jsonb) that returns jsonb: all sign-ins fail", name)
		return nil
	case !hook.Callable:
		d.fail(check, runSQL(strings.Join(hook.Needs, "\n")), "role %s may not call %s: all sign-ins fail", d.server.Role, name)
		return nil
	}
	event, err := sender.Mint{User: uuid.New(), Email: "nobody@example.com", Now: d.Now()}.Event()
	if err != nil {
		return err
	}
	state, err := i.TryChainHook(ctx, event)
	switch {
	case err != nil:
		return err
	case len(hook.Needs) > 0:
		d.fail(check, runSQL(strings.Join(hook.Needs, "\n")), "%s runs with the rights of its caller, and role %s lacks some that supabase_auth_admin has", name, d.server.Role)
	case state == insufficientPrivilege:
		d.fail(check, cure{do: "let role " + d.server.Role + " do what the function does, as supabase_auth_admin could; or make it security definer with a search_path of its own"},
			"%s, tried for a user who does not exist, lacks rights: sign-ins fail", name)
	case state != "":
		d.warn(check, cure{do: "see that it works for real users: coderhook send shows the claims"}, "%s, tried for a user who does not exist, fails with SQLSTATE %s", name, state)
	default:
		d.ok(check, "%s is called before the key is added; in a transaction of its own, and what fails there fails the sign-in", name)
	}
	return nil
}

// insufficientPrivilege is a SQLSTATE.
const insufficientPrivilege = "42501"
