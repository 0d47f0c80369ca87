package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"coderhook/cmd/internal/remedy"
	"coderhook/hook/apikey"
	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// migrateCure is for whatever the migrations make and grant.
var migrateCure = cure{do: "run `coderhook migrate` with DATABASE_URL of the table's owner (role postgres in Supabase)"}

// checkDatabase asks all that the database can tell. What can't be asked is one failure, not many.
func (d *Doctor) checkDatabase(ctx context.Context) {
	if slices.Contains(d.skipped, "the database") {
		return
	}
	i, err := store.Inspect(ctx, d.config.Database)
	if err != nil {
		d.fail("database", cure{do: cmp.Or(remedy.Connecting(err), "correct what the error names")}, "%v (skipped because of this: the rest of the database)", err)
		return
	}
	defer i.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	for _, check := range []func(context.Context, *store.Inspector) error{
		d.checkServer, d.checkWritable, d.checkPooler, d.checkLedger, d.checkTable, d.checkAccess, d.checkRealtime, d.checkTriggers, d.checkChain, d.checkLifetime, d.checkSeals, d.checkEncryption, d.checkRules,
	} {
		if err := check(ctx, i); err != nil {
			d.fail("database", cure{do: "see what the server's log says, and try again"}, "%v", err)
			return
		}
	}
}

func (d *Doctor) checkServer(ctx context.Context, i *store.Inspector) error {
	asked := d.Now()
	server, err := i.Server(ctx)
	if err != nil {
		return err
	}
	d.server = server
	d.ok("database", "PostgreSQL %s answers to role %s", server.Version, server.Role)
	d.judgeWire(i.Wire())
	if d.elsewhere, err = i.Elsewhere(ctx); err != nil {
		return err
	}
	d.checkClock("clock of the database", asked, d.Now(), server.Now, 0)
	if !server.IsSupabase {
		d.warn("Supabase", cure{do: "point DATABASE_URL to the database of the Supabase project"}, "there is no auth.users: this is not the database of a Supabase project")
	}
	excess := strings.Join(server.Excess, ", ")
	switch {
	case excess == "":
		d.ok("database role", "%s holds no rights of an administrator", server.Role)
	case server.Role == "coderhook":
		d.warn("database role", cure{"run as a superuser", "alter role coderhook no" + strings.Join(server.Excess, " no") + ";"},
			"coderhook holds more than it needs: %s", excess)
	default:
		d.warn("database role", cure{"let the role coderhook log in, and name it in DATABASE_URL instead of " + server.Role, "alter role coderhook login password '…';"},
			"%s holds more than the server needs: %s", server.Role, excess)
	}
	return nil
}

// judgeWire warns where the keys of all users travel unencrypted.
func (d *Doctor) judgeWire(encrypted, local bool) {
	if !encrypted && !local {
		d.warn("database's address", cure{do: "add sslmode=require to the parameters of DATABASE_URL, or keep this traffic in a network of your own"}, "the keys travel unencrypted")
	}
}

// checkWritable finds a database that can only be read: it gives the keys that there are, and takes no new one.
func (d *Doctor) checkWritable(ctx context.Context, i *store.Inspector) error {
	const check = "database takes writes"
	found, err := i.ReadOnly(ctx)
	switch {
	case err != nil:
		return err
	case found.Standby:
		d.fail(check, cure{do: "name the primary's address in DATABASE_URL, and where it names several hosts add target_session_attrs=read-write to its parameters"},
			"no: it is a standby. Users without a key get none")
	case found.ReadOnly && found.Source == "client":
		d.fail(check, cure{do: "take default_transaction_read_only from the parameters of DATABASE_URL (it may stand in options there), or from where a pooler sets it"},
			"no: the connection itself sets default_transaction_read_only. Users without a key get none")
	case found.ReadOnly:
		d.fail(check, cure{"if the disk is full, as Supabase makes a database read-only then, enlarge it or free space; then set default_transaction_read_only = off where it was turned on", found.Undo},
			"no: default_transaction_read_only is on (%s). Users without a key get none", found.Source)
	default:
		d.ok(check, "yes")
	}
	return nil
}

func (d *Doctor) checkPooler(ctx context.Context, i *store.Inspector) error {
	pooling, err := i.Pooling(ctx)
	switch {
	case err != nil:
		return err
	case pooling.PerTransaction && !pooling.Expected:
		d.warn("pooler", cure{do: "add pgbouncer=true to the parameters of DATABASE_URL"},
			"a pooler in transaction mode is in between, and DATABASE_URL does not say so: prepared statements get lost there, unless it keeps track of them")
	case pooling.PerTransaction:
		d.ok("pooler", "in transaction mode; no statements are prepared")
	case pooling.Expected:
		d.ok("pooler", "DATABASE_URL says that there is one in transaction mode; none was noticed")
	default:
		d.ok("pooler", "none in transaction mode")
	}
	return nil
}

func (d *Doctor) checkLedger(ctx context.Context, i *store.Inspector) error {
	ledger, err := i.Ledger(ctx)
	if err != nil {
		return err
	}
	d.ledger = ledger
	switch {
	case !ledger.Complete():
		d.fail("migrations", migrateCure, "not applied, or not all of them: there is no %s", strings.Join(ledger.Missing, ", no "))
	case len(ledger.OpenTo) > 0:
		d.fail("migrations", migrateCure, "%s may read or write coderhook.accounts", strings.Join(ledger.OpenTo, " and "))
	case !ledger.Usable && !ledger.Member:
		d.fail("migrations", cure{"name the role coderhook in DATABASE_URL, or give its rights to this role, as its creator", fmt.Sprintf("grant coderhook to %q;", d.server.Role)},
			"applied, but the role of DATABASE_URL may not use the ledger")
	case !ledger.Usable:
		d.fail("migrations", migrateCure, "applied, but the role coderhook lacks rights on the ledger")
	case d.server.IsSupabase:
		d.checkLookup(ctx)
	default:
		d.ok("migrations", "applied; the ledger can be used")
	}
	if ledger.Usable {
		d.member, err = i.Member(ctx)
	}
	return err
}

// checkLookup looks for a user who does not exist, as nobody can tell better what that needs.
func (d *Doctor) checkLookup(ctx context.Context) {
	database, err := store.Open(ctx, d.config.Database)
	if err == nil {
		defer database.Close()
		_, err = database.AuthUsers(ctx, []uuid.UUID{uuid.New()})
	}
	if err != nil {
		d.warn("migrations", cure{do: "do what the error says; it is needed to take accounts from users who are gone"}, "applied, but %v", err)
		return
	}
	d.ok("migrations", "applied; the ledger can be used")
}

// checkLifetime asks as the server does at its start, which ends by what is a failure here.
func (d *Doctor) checkLifetime(ctx context.Context, _ *store.Inspector) error {
	if !d.ledger.Complete() || !d.ledger.Usable {
		return nil // as was said
	}
	const check = "life of keys"
	database, err := store.Open(ctx, d.config.Database)
	if err != nil {
		return err
	}
	defer database.Close()
	var said []string
	log := zerolog.New(io.Discard).Hook(zerolog.HookFunc(func(_ *zerolog.Event, _ zerolog.Level, message string) { said = append(said, message) }))
	err = apikey.CheckLifetime(ctx, database, d.config.Provisioning.TokenLifetime, log)
	switch {
	case err != nil:
		what, do, _ := strings.Cut(err.Error(), "; ")
		d.fail(check, cure{do: do}, "%s", what)
	case len(said) > 0:
		what, do, _ := strings.Cut(said[0], "; ")
		d.warn(check, cure{do: cmp.Or(do, migrateCure.do)}, "%s", what)
	default:
		d.ok(check, "as far as is known, long enough for the access tokens with them")
	}
	return nil
}

// tolerance of clocks: Supabase Auth's signatures are good for five minutes.
const (
	skewWarning = 20 * time.Second
	skewFailure = 4 * time.Minute
)

// checkClock compares a clock that was read between asked and answered. A clock that tells
// whole seconds is right within its grain.
func (d *Doctor) checkClock(check string, asked, answered, theirs time.Time, grain time.Duration) {
	var skew time.Duration
	switch {
	case theirs.Add(grain).Before(asked):
		skew = theirs.Add(grain).Sub(asked)
	case theirs.After(answered):
		skew = theirs.Sub(answered)
	}
	says := fmt.Sprintf("%s apart from the one here", skew.Abs().Round(time.Millisecond))
	cures := cure{do: "set both clocks by NTP; here: timedatectl set-ntp true"}
	switch {
	case skew.Abs() > skewFailure:
		d.fail(check, cures, "%s: signatures are good for five minutes", says)
	case skew.Abs() > skewWarning:
		d.warn(check, cures, "%s", says)
	default:
		d.ok(check, "%s", says)
	}
}
