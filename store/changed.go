package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// Changes are the users of a part of the ledger for whom auth.users and the ledger disagree.
type Changes struct {
	Next     uuid.UUID // the last account that was looked at; zero at the end of the ledger
	Accounts int       // that are not off-boarded
	Missing  []uuid.UUID
	Others   []uuid.UUID // banned or softly deleted and not off-boarded, or off-boarded and here
}

// Both tables are read by their primary keys, and only what is at odds is returned.
const changesSQL = `
with page as materialized (
  select user_id, status = 'offboarded' as ended, status = 'offboarded' or suspended_by_us as awaited
    from coderhook.accounts where user_id > $1 order by user_id limit $2),
  barred as materialized (select id, present from coderhook.auth_users_left(array(select user_id from page))),
  odd as materialized (
  select p.user_id, coalesce(not b.present, false) as missing
    from page p left join barred b on b.id = p.user_id
   where case when b.id is null then p.awaited else not p.ended end)
select (select user_id from page order by user_id desc limit 1) as next,
       (select count(*) from page where not ended) as accounts,
       array(select user_id from odd where missing)::text[] as missing,
       array(select user_id from odd where not missing)::text[] as others`

// Changes looks at up to limit accounts, in the order of their users, from behind after on.
func (s *Store) Changes(ctx context.Context, after uuid.UUID, limit int) (Changes, error) {
	row, err := one[struct {
		Next            *uuid.UUID
		Accounts        int64
		Missing, Others []string
	}](ctx, s, changesSQL, after, limit)
	if err != nil {
		return Changes{}, fmt.Errorf("look for changed users: %w", authUsersFault(err))
	}
	found := Changes{Accounts: int(row.Accounts), Missing: parsed(row.Missing), Others: parsed(row.Others)}
	if row.Next != nil {
		found.Next = *row.Next
	}
	return found, nil
}

// parsed reads ids as Postgres writes them.
func parsed(texts []string) []uuid.UUID {
	ids := make([]uuid.UUID, len(texts))
	for i, text := range texts {
		ids[i] = uuid.MustParse(text)
	}
	return ids
}
