package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Action is what a row of the audit trail is about.
type Action string

const (
	AccountMade  Action = "account-made"  // in Coder
	AccountFound Action = "account-found" // ours, of an earlier try
	KeyMade      Action = "key-made"
	KeyRetired   Action = "key-retired" // replaced; it lives on for the access tokens that carry it
	KeyDead      Action = "key-dead"    // a check found that Coder does not take it
	KeyAdopted   Action = "key-adopted" // it was in the profile before the ledger knew of it
	KeyForeign   Action = "key-refused" // likewise, but it is not this user's
	KeyPlanted   Action = "key-planted" // in the profile, beside the user's own
	RoleRefused  Action = "role-refused"
	OffBoarded   Action = "off-boarded"
	Back         Action = "back"
	Removed      Action = "removed" // the account of a sign-up that was rolled back
	Revoked      Action = "revoked"
	Linked       Action = "link"
	Ineligible   Action = "not-eligible"  // no rule gives the user a key any more
	Eligible     Action = "eligible"      // one does again
	KeyWithdrawn Action = "key-withdrawn" // of a user to whom no rule gives one
	RouteRefused Action = "route-refused" // by the gateway
)

// Event is a row of the audit trail. There are no secrets in it: keys stand by their public ids.
type Event struct {
	At          time.Time `json:"at"`
	Actor       string    `json:"actor"` // the replica, or the operator, who did it
	Action      Action    `json:"action"`
	UserID      uuid.UUID `json:"user_id"`
	CoderUserID uuid.UUID `json:"coder_user_id,omitzero"` // zero where there is none
	KeyID       string    `json:"key_id,omitempty"`       // "" where it is about no key
	Detail      string    `json:"detail,omitempty"`       // why, in words
}

// noted makes of a statement with n parameters, which changes rows that have a user, a Coder user
// and a key, one that leaves a row in the audit trail for each: both happen, or neither. It takes
// three more parameters, see noteArgs, and gives as many rows as it changed.
func noted(sql string, n int) string {
	return `with changed as (` + sql + `
 returning user_id, coder_user_id, key_id),
` + noting(n) + `
select from changed`
}

// noting is the part that leaves a row for each of changed, in a statement that has n parameters without it.
func noting(n int) string {
	return fmt.Sprintf(`noted as (
 insert into coderhook.audit (actor, action, user_id, coder_user_id, key_id, detail)
 select $%d::text, $%d::text, user_id, coder_user_id, key_id, $%d::text from changed)`, n+1, n+2, n+3)
}

// note is what an audit row says beside what was changed.
type note struct {
	action Action
	detail string
	actor  string // "": this replica
}

// noteArgs are the parameters that noted adds.
func (s *Store) noteArgs(n note, args ...any) []any {
	if n.actor == "" {
		n.actor = s.replica
	}
	return append(args, n.actor, string(n.action), capped(n.detail, 500))
}

// fencedNoted is fenced, with an audit row.
func (s *Store) fencedNoted(ctx context.Context, what string, n note, sql string, l Lease, args ...any) error {
	return s.fenced(ctx, what, noted(sql, len(args)+2), l, s.noteArgs(n, args...)...)
}

// fencedEnding is fencedNoted for a statement that ends the keys of all sets at the time in its $3.
func (s *Store) fencedEnding(ctx context.Context, what string, n note, sql string, l Lease, args ...any) error {
	return s.fenced(ctx, what, notedEnding(sql, len(args)+2), l, s.noteArgs(n, args...)...)
}

const noteSQL = `
insert into coderhook.audit (actor, action, user_id, coder_user_id, key_id, detail)
values ($1, $2, $3, nullif($4::uuid, '00000000-0000-0000-0000-000000000000'::uuid), nullif($5::text, ''), $6)`

// Note adds a row about something that was seen, and that changes nothing in the ledger.
// Its time is the database's, its actor this replica.
func (s *Store) Note(ctx context.Context, e Event) error {
	_, err := s.exec(ctx, noteSQL, s.replica, string(e.Action), e.UserID, e.CoderUserID, e.KeyID, capped(e.Detail, 500))
	if err != nil {
		return fmt.Errorf("note %s: %w", e.Action, err)
	}
	return nil
}

// Newest rows are found from the end of an index, whether by user or by time.
const eventsSQL = `
select id, at, actor, action, user_id, coder_user_id, coalesce(key_id, '') as key_id, detail
  from coderhook.audit
 where ($1::uuid is null or user_id = $1) and at >= $2 and id > $3
 order by id limit $4`

type eventRow struct {
	ID                           int64
	At                           time.Time
	Actor, Action, KeyID, Detail string
	UserID                       uuid.UUID
	CoderUserID                  pgtype.UUID
}

// eventsPage is how many rows are read at a time.
const eventsPage = 1000

// Events gives what happened since then, the oldest first, to do; of all users if user is zero.
// It reads page by page, and ends with do's first error.
func (s *Store) Events(ctx context.Context, user uuid.UUID, since time.Time, do func(Event) error) error {
	for after := int64(0); ; {
		rows, err := all[eventRow](ctx, s, eventsSQL, pgtype.UUID{Bytes: user, Valid: user != uuid.Nil}, since, after, eventsPage)
		if err != nil {
			return fmt.Errorf("read audit trail: %w", err)
		}
		for _, row := range rows {
			after = row.ID
			if err := do(row.event()); err != nil {
				return err
			}
		}
		if len(rows) < eventsPage {
			return nil
		}
	}
}

func (row eventRow) event() Event {
	return Event{
		At: row.At, Actor: row.Actor, Action: Action(row.Action), UserID: row.UserID,
		CoderUserID: row.CoderUserID.Bytes, KeyID: row.KeyID, Detail: row.Detail,
	}
}

const pruneAuditSQL = `select coderhook.prune_audit(pg_catalog.make_interval(secs => $1::double precision)) as deleted`

// PruneBatch is how many rows [Store.PruneAudit] deletes at the most.
const PruneBatch = 10_000

// PruneAudit deletes rows that are older than keep, up to a batch, and says how many.
// What is younger than a week stays, whatever keep says.
func (s *Store) PruneAudit(ctx context.Context, keep time.Duration) (int64, error) {
	row, err := one[struct{ Deleted int64 }](ctx, s, pruneAuditSQL, keep.Seconds())
	if err != nil {
		return 0, fmt.Errorf("prune audit trail: %w", err)
	}
	return row.Deleted, nil
}
