package soak

import (
	"fmt"
	"strings"
	"time"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"

	"github.com/google/uuid"
)

// account is what the database says of somebody.
type account struct {
	ID          uuid.UUID
	Living      bool
	Exists      bool
	APIKey      string `db:"api_key"`
	KeyID       string
	Status      string
	CoderUserID uuid.NullUUID
	Retired     int64
}

const accountsSQL = `
select coalesce(u.id, a.user_id) as id,
       u.id is not null and u.deleted_at is null and coalesce(u.banned_until, 'epoch') < now() as living,
       u.id is not null as exists, coalesce(p.api_key, '') as api_key,
       coalesce(a.key_id, '') as key_id, coalesce(a.status, '') as status, a.coder_user_id,
       (select count(*) from coderhook.retired_keys r where r.user_id = coalesce(u.id, a.user_id) and r.delete_after > now()) as retired
  from auth.users u
  full join coderhook.accounts a on a.user_id = u.id
  left join public.profiles p on p.id = u.id`

// patienceSQL ends the patience with sign-ups that may still be committed, and with a killed
// server that was reconciling: ten minutes and one.
const patienceSQL = `
update coderhook.accounts a set updated_at = updated_at - interval '11 minutes'
 where not exists (select from auth.users u where u.id = a.user_id);
update coderhook.tasks set lease_until = now() where lease_until is not null`

// wantConsistent waits until profiles, ledger and Coder agree, which mints no longer help with:
// only reconciling, and the end of what is no longer used.
func (s *soak) wantConsistent() {
	began := time.Now()
	if _, err := s.db.pool.Exec(s.t.Context(), patienceSQL); err != nil {
		s.t.Error(err)
	}
	ledger := len(rows[account](s, accountsSQL))
	within := 60*time.Second + time.Duration(3*ledger)*250*time.Millisecond // three runs of reconciling, after the last sign-up is given up
	var wrong []string
	for deadline := began.Add(within); time.Now().Before(deadline); s.pause(250 * time.Millisecond) {
		if wrong = s.differences(); len(wrong) == 0 {
			break
		}
		s.tally.lastToAgree = wrong[0]
	}
	s.tally.settledIn.Store(int64(time.Since(began)))
	for _, what := range wrong[:min(len(wrong), 10)] {
		s.breach("%s after: %s", time.Since(began).Round(time.Second), what)
	}
	s.wantOrder()
}

// inCoder is what Coder has: users by whom they were made for, and those tokens of ours that work.
type inCoder struct {
	users  map[uuid.UUID][]codertest.User
	others []codertest.User
	live   map[uuid.UUID][]codertest.Issue // by Coder user
}

func (s *soak) lookAtCoder() inCoder {
	byName := make(map[string]*person)
	for _, p := range s.people.everybody() {
		byName[p.id.String()[:8]] = p
	}
	seen := inCoder{users: make(map[uuid.UUID][]codertest.User), live: make(map[uuid.UUID][]codertest.Issue)}
	for _, u := range s.coder.Users() {
		if p := byName[u.Username[:min(8, len(u.Username))]]; p != nil && p.owns(u.Username) {
			seen.users[p.id] = append(seen.users[p.id], u)
		} else {
			seen.others = append(seen.others, u)
		}
	}
	for _, issue := range s.coder.AllIssued() {
		if !issue.Gone && strings.HasPrefix(issue.TokenName, "supabase-") && issue.ExpiresAt.After(time.Now()) {
			seen.live[issue.UserID] = append(seen.live[issue.UserID], issue)
		}
	}
	return seen
}

// differences are what is not yet as it must be.
func (s *soak) differences() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	seen := s.lookAtCoder()
	for _, u := range seen.others {
		if !strings.HasPrefix(u.Username, "other-") || len(seen.live[u.ID]) > 0 {
			say("Coder user %s is nobody's, or has a token of ours", u.Username)
		}
	}
	for _, a := range rows[account](s, accountsSQL) {
		p, users := s.people.of(a.ID), seen.users[a.ID]
		switch {
		case p == nil:
			say("%s is nobody", a.ID)
		case len(users) > 1:
			say("%s has %d Coder users", a.ID, len(users))
		case !a.Living && len(users) == 1:
			compareGone(a, users[0], seen.live[users[0].ID], say)
		case !a.Living, p.foreign && len(users) == 0: // nobody mints for these at the end
		case len(users) == 0:
			say("%s has no Coder user; the ledger says %s", a.ID, a.Status)
		default:
			compare(p, a, users[0], seen.live[users[0].ID], say)
		}
	}
	return wrong
}

// compareGone: who is gone has neither account nor token that works. An account whose making was
// never answered, and whose user left before the next mint, is known to nobody: nothing opens it.
func compareGone(a account, u codertest.User, live []codertest.Issue, say func(string, ...any)) {
	if !a.CoderUserID.Valid && len(live) == 0 {
		return
	}
	if u.Status != "suspended" || len(live) > 0 {
		say("%s is gone, but Coder user %s is %s and has %d live tokens; the ledger says %s", a.ID, u.Username, u.Status, len(live), a.Status)
	}
}

// compare: one live key, and profile, ledger and Coder say the same.
func compare(p *person, a account, u codertest.User, live []codertest.Issue, say func(string, ...any)) {
	switch {
	case len(live) != 1 && !p.foreign:
		say("%s has %d live tokens in Coder; the ledger says %s", a.ID, len(live), a.Status)
	case len(live) != 1: // they had no last mint
	case live[0].Whole != a.APIKey || coderclient.KeyID(a.APIKey) != a.KeyID:
		say("%s: profile has %s, ledger %s, Coder %s", a.ID, coderclient.KeyID(a.APIKey), a.KeyID, live[0].ID)
	case a.Status != "active" || a.CoderUserID.UUID != u.ID || u.Email != p.email:
		say("%s: ledger says %s, %s; Coder %s, %s", a.ID, a.Status, a.CoderUserID.UUID, u.ID, u.Email)
	}
}

// notice is how long the soak may take to see an answer that the server has sent.
const notice = 250 * time.Millisecond

// wantOrder checks that nothing was written before it was answered, and nothing at all to auth.*.
func (s *soak) wantOrder() {
	type trespass struct{ By string }
	if found := rows[trespass](s, `select by from soak.trespasses`); len(found) > 0 {
		s.breach("coderhook wrote to auth.users %d times", len(found))
	}
	type write struct {
		UserID uuid.UUID
		At     time.Time
	}
	for _, w := range rows[write](s, `select user_id, min(at) as at from soak.writes group by user_id`) {
		p := s.people.of(w.UserID)
		slack := notice + s.stalls.between(w.At, p.answered)
		if !p.broken && w.At.Add(slack).Before(p.answered) {
			s.breach("%s: the profile was written %s before the first answer", p.id, p.answered.Sub(w.At))
		}
	}
	// Whoever writes before the answer waits for the sign-in's own lock, half a second each time.
	if wait := quantile(s.tally.afterKey, .5); wait > 400*time.Millisecond {
		s.breach("half of the sign-ins that lock the profile are answered %s after their key was made", wait)
	}
}
