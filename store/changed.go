package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Changes are the users for whom auth.users and the ledger disagree.
type Changes struct {
	Accounts int         // that are not off-boarded
	Missing  int         // of them, whose users are not there
	Gone     []uuid.UUID // those, as many as were asked for
	Others   []uuid.UUID // banned or softly deleted and not off-boarded, or off-boarded and here; likewise
}

const changesSQL = `
select accounts, missing, missing_ids::text[] as gone, other_ids::text[] as others
  from coderhook.users_at_odds($1)`

// Changes looks at all accounts, and returns up to limit users of either kind. It takes the database
// some two to six seconds for a million accounts.
func (s *Store) Changes(ctx context.Context, limit int) (Changes, error) {
	row, err := one[struct {
		Accounts, Missing int64
		Gone, Others      []string
	}](ctx, s, changesSQL, limit)
	if err != nil {
		return Changes{}, fmt.Errorf("look for changed users: %w", authUsersFault(err))
	}
	return Changes{int(row.Accounts), int(row.Missing), parsed(row.Gone), parsed(row.Others)}, nil
}

// parsed reads ids as Postgres writes them.
func parsed(texts []string) []uuid.UUID {
	ids := make([]uuid.UUID, len(texts))
	for i, text := range texts {
		ids[i] = uuid.MustParse(text)
	}
	return ids
}
