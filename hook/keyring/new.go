package keyring

import (
	"context"
	"errors"

	"coderhook/hook/account"
	"coderhook/hook/apikey"
	"coderhook/hook/metrics"
	"coderhook/hook/pace"
	"coderhook/hook/provision"
	"coderhook/hook/rotation"

	"github.com/rs/zerolog"
)

// Ledger is all that keys need of the database, room by room.
type Ledger interface {
	provision.Ledger
	account.Ledger
	apikey.Ledger
	rotation.Ledger
	rotation.Lookups
	Accounts
	Users
	Givings
}

// Coder is all that keys need of Coder, room by room.
type Coder interface {
	provision.Coder
	account.Coder
	account.RolesCoder
	apikey.Coder
	rotation.Coder
}

// New puts together all that makes keys and looks after them. Stop ends it.
func New(o provision.Options, ledger Ledger, coder Coder, reg *metrics.Registry, log zerolog.Logger) *Keyring {
	roles := &account.Roles{Coder: coder}
	keys := &apikey.Minter{Ledger: ledger, Coder: coder, Roles: roles, Lifetime: o.TokenLifetime, Now: o.Now, Log: log}
	accounts := &account.Maker{
		Ledger: ledger, Coder: coder, Roles: roles, Pace: new(pace.Limiter), Organization: o.Organization, Names: o.Names, ConfirmedOnly: o.ConfirmedOnly,
		PersistPatience: o.PersistPatience, Now: o.Now, Log: log, Made: account.Made(reg),
	}
	p := provision.New(o, ledger, coder, accounts, keys, reg, log)
	rotator := &rotation.Rotator{
		Ledger: ledger, Lookups: ledger, Coder: coder, Roles: roles, Names: o.Names, Keys: keys,
		Renew: func(ctx context.Context, s rotation.Subject) {
			p.Renew(ctx, provision.Request{User: s.UserID, Email: s.Email, Until: s.Until, Known: s.Known, OutOfClaims: s.OutOfClaims, Grant: s.Grant, Set: s.Known.Set})
		},
		CheckInterval: o.CheckInterval, ConfirmAfter: o.ConfirmAfter, Timeout: o.Timeout, Poll: o.Poll, Slots: make(chan struct{}, o.Concurrency),
		Now: o.Now, Log: log, Checks: rotation.Checks(reg), RolesRefused: account.RolesRefused(reg),
	}
	return &Keyring{
		Accounts: ledger, Users: ledger, Givings: ledger, Provisioner: p, Rotator: rotator.Start(), Rule: p.Rule, Trail: ledger, Now: o.Now, Log: log, metrics: newCounters(reg),
	}
}

// Stop lets what is under way end, until ctx ends.
func (k *Keyring) Stop(ctx context.Context) error {
	stopped := make(chan error, 1)
	go func() { stopped <- k.Rotator.Stop(ctx) }()
	return errors.Join(k.Provisioner.Stop(ctx), <-stopped)
}

// Wait returns when nothing is under way but the backlog.
func (k *Keyring) Wait() {
	k.Rotator.Wait()
	k.Provisioner.Wait()
}
