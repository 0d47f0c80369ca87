package hook

import (
	"context"
	"flag"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/authtest"
	"coderhook/store"

	"pgregory.net/rapid"
)

// TestProperties plays random lives: mints, time, revocation, suspension, deletion, bans, outages
// and crashes in any order. What must always hold is checked after each step; at the end all is
// made well again, and everybody must come back to one account and one token.
//
// It is not parallel, as TestYear.
func TestProperties(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("30") // a life is long; -rapid.checks asks for more of them
	}
	c := newCity(t)
	rapid.Check(t, func(rt *rapid.T) {
		p := &play{c}
		c.users = nil
		c.coder.ForgetRequests()
		p.keepOwner()
		c.move(t, 2)
		rt.Repeat(map[string]func(*rapid.T){
			"":         func(rt *rapid.T) { p.check(rt) },
			"mint":     p.mint,
			"advance":  p.advance,
			"revoke":   p.revoke,
			"suspend":  p.suspend,
			"activate": p.activate,
			"delete":   p.delete,
			"ban":      p.ban,
			"outage":   func(rt *rapid.T) { c.outage(rapid.Bool().Draw(rt, "down")) },
			"crash": func(rt *rapid.T) {
				c.life.crashAfter(rapid.IntRange(1, 12).Draw(rt, "calls"), rapid.Bool().Draw(rt, "after"))
			},
			"reconcile": func(rt *rapid.T) { c.reconcile(rt) },
			"in claims": func(rt *rapid.T) { p.inClaims(rt, rapid.Bool().Draw(rt, "in")) },
		})
		p.makeWell(rt)
	})
}

// play is one run of random steps.
type play struct{ *city }

func (p *play) any(rt *rapid.T) *citizen {
	return p.users[rapid.IntRange(0, len(p.users)-1).Draw(rt, "user")]
}

// coderName is the user's account in Coder, if there is one.
func (p *play) coderName(u *citizen) (name string, found bool) {
	for _, user := range p.coder.Users() {
		if user.Email == u.email {
			return user.Username, true
		}
	}
	return "", false
}

// mint is a sign-in, and what it may carry: a key of the user's own account or a reason. The key
// outlives the token, unless Coder is down or somebody ended the key behind our back.
func (p *play) mint(rt *rapid.T) {
	u := p.any(rt)
	before := p.account(rt, u)
	key, status := p.city.mint(rt, u)
	if (key == "") == (status == "") {
		rt.Fatalf("key %q and status %q", coderclient.KeyID(key), status)
	}
	if p.out != (status == "ready") && (key != "" || status == "ready") {
		rt.Fatalf("key %q and status %q, out of claims: %t", coderclient.KeyID(key), status, p.out)
	}
	if key == "" {
		return
	}
	known := p.key(u, coderclient.KeyID(key))
	switch {
	case known == nil && key != before.APIKey:
		rt.Fatalf("a new key that Coder does not know for this user: %s", coderclient.KeyID(key))
	case known != nil && p.down == nil && known.ExpiresAt.Before(p.clock.Now().Add(time.Hour-time.Second)):
		rt.Fatalf("key %s dies before its token", known.ID)
	}
}

func (p *play) account(rt *rapid.T, u *citizen) store.Account {
	account, err := p.store.Lookup(context.Background(), u.id)
	if err != nil {
		rt.Fatalf("%v", err)
	}
	return account
}

func (p *play) advance(rt *rapid.T) {
	p.clock.Advance(time.Duration(rapid.IntRange(1, 5*24*60).Draw(rt, "minutes")) * time.Minute)
	p.keepOwner()
}

// keepOwner stands for the minutes that were passed over.
func (p *play) keepOwner() {
	p.coder.Prolong(coderclient.KeyID(p.keeper.Token.Current()), p.clock.Now().Add(30*authtest.Day))
}

func (p *play) revoke(rt *rapid.T) {
	if account := p.account(rt, p.any(rt)); account.KeyID != "" {
		p.coder.DeleteKey(account.KeyID)
	}
}

func (p *play) suspend(rt *rapid.T) {
	if name, found := p.coderName(p.any(rt)); found {
		p.coder.SuspendUser(name)
	}
}

func (p *play) activate(rt *rapid.T) {
	if name, found := p.coderName(p.any(rt)); found {
		p.coder.ActivateUser(name)
	}
}

func (p *play) delete(rt *rapid.T) {
	if name, found := p.coderName(p.any(rt)); found {
		p.coder.DeleteUser(name)
	}
}

// ban also lifts it. Supabase Auth mints nothing for a banned user but what was under way.
func (p *play) ban(rt *rapid.T) {
	until := "null"
	if rapid.Bool().Draw(rt, "banned") {
		until = "'infinity'"
	}
	if err := p.db.Run(`update auth.users set banned_until = ` + until + ` where id = '` + p.any(rt).id.String() + `'`); err != nil {
		rt.Fatalf("%v", err)
	}
}

// inClaims is a change of KEY_IN_CLAIMS.
func (p *play) inClaims(rt *rapid.T, in bool) {
	if p.out == in {
		p.out = !in
		p.restart(rt)
	}
}

// check is what holds always: one Coder account for each user, which no other has; and what was in a token is known.
func (p *play) check(rt *rapid.T) {
	accounts := make(map[string]int)
	for _, user := range p.coder.Users() {
		accounts[user.Email]++
	}
	for _, u := range p.users {
		if accounts[u.email] > 1 {
			rt.Fatalf("%s has %d Coder accounts", u.email, accounts[u.email])
		}
		account := p.account(rt, u)
		if account.KeyUnseen && u.seen[account.KeyID] {
			rt.Fatalf("key %s was in a token, and counts as one that was in none", account.KeyID)
		}
		if account.APIKey == "" {
			continue
		}
		for _, other := range p.users {
			if other != u && p.key(other, coderclient.KeyID(account.APIKey)) != nil {
				rt.Fatalf("the profile of %s has a key of %s", u.email, other.email)
			}
		}
	}
}

// makeWell ends all that is wrong, and lets time pass as it does.
func (p *play) makeWell(rt *rapid.T) {
	p.outage(false)
	p.life.crashAfter(0, false)
	p.inClaims(rt, true)
	if err := p.db.Run(`update auth.users set banned_until = null`); err != nil {
		rt.Fatalf("%v", err)
	}
	for _, u := range p.users {
		if name, found := p.coderName(u); found {
			p.coder.ActivateUser(name)
		}
	}
	for range 3 { // the first mint may carry what is only then found to be dead
		p.clock.Advance(7*authtest.Day + time.Hour)
		p.keepOwner()
		for _, u := range p.users {
			p.city.mint(rt, u)
		}
		p.reconcile(rt)
	}
	for _, u := range p.users {
		key, status := p.city.mint(rt, u)
		if user, err := p.client.Me(context.Background(), key); err != nil || user.Email != u.email {
			rt.Fatalf("%s did not get a working key again: %v, status %q, %v: %s", u.email, err, status, p.account(rt, u), p.account(rt, u).LastError)
		}
	}
	p.clock.Advance(90 * time.Minute)
	p.reconcile(rt)
	for _, u := range p.users {
		p.wantOneToken(rt, u)
	}
	p.withdraw(rt)
}

// withdraw takes all keys out of the tokens. Nobody mints, and still none is left that was in one.
func (p *play) withdraw(rt *rapid.T) {
	p.inClaims(rt, false)
	p.reconcile(rt)
	p.clock.Advance(90 * time.Minute)
	p.reconcile(rt)
	for _, u := range p.users {
		p.wantOneToken(rt, u)
		if account := p.account(rt, u); !account.KeyUnseen || u.seen[account.KeyID] {
			rt.Fatalf("%v was in a token", account)
		}
		if _, status := p.city.mint(rt, u); status != "ready" {
			rt.Fatalf("%s: %s", u.email, status)
		}
	}
}
