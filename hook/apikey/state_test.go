package apikey

import (
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/store"

	"github.com/google/uuid"
)

// A key is judged against the token that is to carry it.
func TestJudge(t *testing.T) {
	t.Parallel()
	const key, other = "AbCdEfGhIj-0123456789012345678901", "0123456789"
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	token := now.Add(time.Hour)
	account := func(left time.Duration, change func(*store.Account)) store.Account {
		a := store.Account{
			APIKey: key, KeyID: "AbCdEfGhIj", KeyExpiresAt: now.Add(left), KeyLifetime: 7 * authtest.Day,
			Known: true, Status: store.Active,
		}
		if change != nil {
			change(&a)
		}
		return a
	}
	third, fixed, out := Rule{}, Rule{RenewBefore: 2 * time.Hour}, Rule{OutOfClaims: true}
	for name, test := range map[string]struct {
		rule    Rule
		account store.Account
		want    State
	}{
		"no key":                  {third, account(5*authtest.Day, func(a *store.Account) { a.APIKey = "" }), Missing},
		"not a Coder key":         {third, account(5*authtest.Day, func(a *store.Account) { a.APIKey, a.KeyID = "rubbish", "" }), Missing},
		"expired":                 {third, account(0, nil), Missing},
		"refused":                 {third, account(5*authtest.Day, func(a *store.Account) { a.KeyRefused = true }), Missing},
		"suspended":               {third, account(5*authtest.Day, func(a *store.Account) { a.Status = store.Suspended }), Missing},
		"dies before the token":   {third, account(time.Hour-time.Second, nil), Short},
		"dies with the token":     {third, account(time.Hour, nil), Aging},
		"in the last third":       {third, account(7*authtest.Day/3, nil), Aging},
		"before the last third":   {third, account(7*authtest.Day/3+time.Second, nil), Good},
		"in a window of its own":  {fixed, account(2*time.Hour, nil), Aging},
		"before a window":         {fixed, account(2*time.Hour+time.Second, nil), Good},
		"lifetime not known":      {third, account(6*authtest.Day, func(a *store.Account) { a.KeyLifetime = 0 }), Aging},
		"no key is known":         {third, account(5*authtest.Day, func(a *store.Account) { a.KeyID = "" }), Unknown},
		"another than the living": {third, account(5*authtest.Day, func(a *store.Account) { a.KeyID = other }), Planted},
		"than one without expiry": {third, account(5*authtest.Day, func(a *store.Account) { a.KeyID, a.KeyExpiresAt = other, time.Time{} }), Planted},
		"than the expired":        {third, account(-authtest.Day, func(a *store.Account) { a.KeyID = other }), Planted},
		"than that of a conflict": {third, account(5*authtest.Day, func(a *store.Account) { a.KeyID, a.Status = other, store.Conflict }), Planted},
		"than a pending user's":   {third, account(5*authtest.Day, func(a *store.Account) { a.KeyID, a.Status = other, store.Pending }), Planted},
		"than who was off-boarded": {third, account(5*authtest.Day, func(a *store.Account) {
			a.KeyID, a.KeyRefused, a.Status, a.CoderUserID = other, true, store.Offboarded, uuid.MustParse("ada0ada0-0000-4000-8000-000000000001")
		}), Planted},
		"than their refused own": {third, account(5*authtest.Day, func(a *store.Account) {
			a.KeyID, a.KeyRefused, a.CoderUserID = other, true, uuid.MustParse("ada0ada0-0000-4000-8000-000000000001")
		}), Planted},
		"than a forgotten user's": {third, account(0, func(a *store.Account) { a.KeyID, a.CoderUserID = other, uuid.Nil }), Planted},
		"suspended, and another":  {third, account(5*authtest.Day, func(a *store.Account) { a.KeyID, a.Status = other, store.Suspended }), Missing},
		"orphaned, with a profile": {third, account(0, func(a *store.Account) {
			a.KeyID, a.CoderUserID, a.Status = "", uuid.MustParse("ada0ada0-0000-4000-8000-000000000001"), store.Orphaned
		}), Unknown},
		"locked": {third, account(5*authtest.Day, func(a *store.Account) { a.APIKey, a.Encryption = "", store.Locked }), Locked},
		"locked and suspended": {third, account(5*authtest.Day, func(a *store.Account) {
			a.APIKey, a.Encryption, a.Status = "", store.Locked, store.Suspended
		}), Locked},
		"forged":               {third, account(5*authtest.Day, func(a *store.Account) { a.APIKey, a.Encryption = "", store.Forged }), Planted},
		"forged, nobody known": {third, account(0, func(a *store.Account) { a.APIKey, a.KeyID, a.Encryption = "", "", store.Forged }), Planted},
		"plain is refused":     {third, account(5*authtest.Day, func(a *store.Account) { a.APIKey, a.Encryption = "", store.PlainRefused }), Planted},
		"suspended and forged": {third, account(5*authtest.Day, func(a *store.Account) {
			a.APIKey, a.Encryption, a.Status = "", store.Forged, store.Suspended
		}), Missing},
		"encrypted":               {third, account(5*authtest.Day, func(a *store.Account) { a.Encryption = store.Encrypted }), Good},
		"known without expiry":    {third, account(5*authtest.Day, func(a *store.Account) { a.KeyExpiresAt = time.Time{} }), Unknown},
		"refused, but another by": {third, account(5*authtest.Day, func(a *store.Account) { a.KeyID, a.KeyRefused = "0123456789", true }), Unknown},
		"that tokens carried":     {out, account(5*authtest.Day, nil), GivenOut},
		"that tokens carry":       {third, account(5*authtest.Day, nil), Good},
		"that none carried":       {out, account(5*authtest.Day, func(a *store.Account) { a.KeyUnseen = true }), Good},
		"carried, and short":      {out, account(time.Minute, nil), Short},
		"carried, and refused":    {out, account(5*authtest.Day, func(a *store.Account) { a.KeyRefused = true }), Missing},
		"conflict with a key":     {third, account(5*authtest.Day, func(a *store.Account) { a.Status = store.Conflict }), Good},
	} {
		if got := test.rule.Judge(test.account, token, now); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	long := Rule{RenewBefore: 30 * authtest.Day}
	if got := long.window(7 * authtest.Day); got != 7*authtest.Day/2 {
		t.Errorf("a window longer than the lifetime would renew at every mint: %s", got)
	}
}
