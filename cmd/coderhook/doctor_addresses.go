package main

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

// addressSample is how many accounts are compared: each is a request to Coder, which limits them.
const addressSample = 100

// checkAddresses compares the addresses of accounts with those of their users: mail of Coder's goes to the one that
// it knows, and nobody else gets an account with it.
func (d *doctor) checkAddresses(ctx context.Context, coder *coderclient.Client) {
	const check = "addresses of accounts"
	if !d.ledger.Complete() || !d.ledger.Usable || !d.server.IsSupabase {
		return // as was said
	}
	database, err := store.Open(ctx, d.config.Database)
	if err != nil {
		return
	}
	defer database.Close()
	compared, differ, err := compareAddresses(ctx, database, coder)
	switch {
	case err != nil:
		d.warn(check, cure{do: "see what the error says, and try again"}, "%v", err)
	case len(differ) > 0:
		d.warn(check, cure{do: "run coderhook explain --user UUID, and change one of the two addresses"},
			"of %d accounts that were compared, %d have another address in Coder than their users in Supabase, as that of %s", compared, len(differ), strings.Join(differ[:min(3, len(differ))], ", "))
	default:
		d.ok(check, "the same in Coder as in Supabase, in %d that were compared", compared)
	}
}

func compareAddresses(ctx context.Context, database *store.Store, coder *coderclient.Client) (compared int, differ []string, _ error) {
	entries, err := database.Page(ctx, uuid.Nil, addressSample)
	if err != nil {
		return 0, nil, err
	}
	for _, e := range entries {
		if e.CoderUserID == uuid.Nil || e.Status != store.Active {
			continue
		}
		user, err := coder.User(ctx, e.CoderUserID.String())
		if errors.Is(err, coderclient.ErrNotFound) {
			continue
		}
		if err != nil {
			return compared, differ, fmt.Errorf("compare addresses: %w", err)
		}
		having, err := database.AuthUserIDs(ctx, user.Email)
		if err != nil {
			return compared, differ, err
		}
		compared++
		if !slices.Contains(having, e.UserID) {
			differ = append(differ, e.UserID.String())
		}
	}
	return compared, differ, nil
}
