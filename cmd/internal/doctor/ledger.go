package doctor

import (
	"context"
	"strings"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/remedy"
	"coderhook/hook/reconcile"
	"coderhook/store"

	"github.com/google/uuid"
)

// checkSeals looks at every row of the ledger, as the server does when it meets one.
func (d *Doctor) checkSeals(ctx context.Context, _ *store.Inspector) error {
	const check = "seals of the ledger"
	if !d.ledger.Complete() || !d.ledger.Usable {
		return nil // as was said
	}
	if len(d.config.Database.LedgerSecrets) == 0 {
		d.warn(check, cure{do: "make a secret with: " + config.MakeLedgerSecret + "; set it as LEDGER_SECRET for all replicas, and run coderhook seal"},
			"there are none: whoever has the password of the database role can make himself anybody's Coder account")
		return nil
	}
	database, err := store.Open(ctx, d.config.Database)
	if err != nil {
		return err
	}
	defer database.Close()
	sealing := reconcile.Sealing{Reconciler: &reconcile.Reconciler{Register: database}}
	n, err := sealing.Count(ctx)
	switch {
	case err != nil:
		return err
	case n.Broken > 0:
		d.fail(check, cure{do: "run coderhook seal to have them named; find out who changed them; delete such a row, or seal what it says with coderhook seal --user UUID"},
			"%d rows were changed by somebody else, or sealed with another secret", n.Broken)
	case n.None > 0:
		d.fail(check, cure{do: "run coderhook seal, which looks at their accounts first"}, "%d rows have none: their users get no keys", n.None)
	case n.Old > 0:
		d.warn(check, cure{do: "run coderhook seal, then remove the old secret from LEDGER_SECRET"}, "%d rows are sealed with a secret that is being replaced", n.Old)
	default:
		d.ok(check, "%d rows, none changed by anybody else", n.Good)
	}
	return nil
}

// checkRules looks whether what the rules look at can be read.
func (d *Doctor) checkRules(ctx context.Context, _ *store.Inspector) error {
	const check = "rules of POLICY_FILE"
	policy := d.config.Rules.Policy
	if policy == nil || !d.ledger.Complete() {
		return nil // there are none, or as was said
	}
	database, err := store.Open(ctx, d.config.Database)
	if err != nil {
		return err
	}
	defer database.Close()
	_, _, err = database.LookupFacts(ctx, uuid.Nil, true)
	switch warnings := policy.Warnings(); {
	case err != nil:
		d.fail(check, cure{do: remedy.Unreadable}, "what they look at can't be read: %v", err)
	case len(warnings) > 0:
		d.warn(check, cure{do: "let the project's server write it into app_metadata"}, "%s", strings.Join(warnings, "; "))
	case d.config.Rules.Audit:
		d.ok(check, "%d, which are only told: POLICY_MODE=audit", len(policy.Rules))
	default:
		d.ok(check, "%d", len(policy.Rules))
	}
	return nil
}
