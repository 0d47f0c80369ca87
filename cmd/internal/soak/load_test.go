package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const workers = 10

// deeds are what people do, by how often.
var deeds = []struct {
	weight int
	do     func(*soak, context.Context, *rand.Rand)
}{
	{60, (*soak).refresh},
	{15, (*soak).signIn},
	{4, (*soak).signUp},
	{4, (*soak).manyAtOnce},
	{4, (*soak).anonymous},
	{4, (*soak).callFrontEnd},
	{1, (*soak).foreigner},
	{2, (*soak).leave},
	{1, (*soak).beAway},
}

// work is one of those who sign in side by side.
func (s *soak) work(ctx context.Context, random *rand.Rand) {
	total := 0
	for _, deed := range deeds {
		total += deed.weight
	}
	for ctx.Err() == nil {
		n := random.IntN(total)
		for _, deed := range deeds {
			if n -= deed.weight; n < 0 {
				deed.do(s, s.t.Context(), random) // to its end, also when the load is over
				break
			}
		}
		s.pause(time.Duration(random.ExpFloat64() * float64(60*time.Millisecond)))
	}
}

func (s *soak) refresh(ctx context.Context, random *rand.Rand) {
	s.mint(ctx, random, s.people.pick(random), mintOptions{})
}

// signIn writes to auth.users, so that a trigger locks the profile until the token is minted.
func (s *soak) signIn(ctx context.Context, random *rand.Rand) {
	p := s.people.pick(random)
	s.db.inTransaction(ctx, true, `update auth.users set last_sign_in_at = now() where id = $1`, []any{p.id}, func() {
		s.mint(ctx, random, p, mintOptions{locked: true})
	})
}

// signUp mints the first token before the user is committed, and sometimes they never are.
func (s *soak) signUp(ctx context.Context, random *rand.Rand) {
	if s.people.full(s.length) {
		s.refresh(ctx, random)
		return
	}
	id := newID(random)
	s.enroll(ctx, random, &person{id: id, email: emailOf(id)})
}

func emailOf(id uuid.UUID) string {
	return "u" + strings.ReplaceAll(id.String(), "-", "") + "@soak.example"
}

func (s *soak) enroll(ctx context.Context, random *rand.Rand, p *person) {
	stays := random.IntN(12) > 0 || s.elapsed() > signUpsEnd
	s.people.enter(p, false)
	if !stays {
		p.leave()
	}
	committed := s.db.inTransaction(ctx, stays, `insert into auth.users (id, email) values ($1, $2)`, []any{p.id, p.email}, func() {
		s.mint(ctx, random, p, mintOptions{locked: true})
	})
	if committed {
		s.people.enter(p, true)
		s.tally.signUps.Add(1)
	} else {
		p.leave()
		s.tally.rolledBack.Add(1)
	}
}

// foreigner signs up with an e-mail that somebody else has in Coder.
func (s *soak) foreigner(ctx context.Context, random *rand.Rand) {
	if s.people.full(s.length) {
		s.refresh(ctx, random)
		return
	}
	id := newID(random)
	p := &person{id: id, email: emailOf(id), foreign: true}
	s.coder.AddUser("other-"+id.String()[:8], p.email, "password")
	s.enroll(ctx, random, p)
}

// manyAtOnce are the tabs of one browser.
func (s *soak) manyAtOnce(ctx context.Context, random *rand.Rand) {
	s.openTabs(ctx, random, s.people.pick(random), mintOptions{})
}

func (s *soak) openTabs(ctx context.Context, random *rand.Rand, p *person, o mintOptions) (good bool) {
	var tabs sync.WaitGroup
	given := make([]issuedKey, 4)
	for i := range given {
		own := rand.New(rand.NewPCG(random.Uint64(), 0))
		tabs.Go(func() { given[i] = s.mint(ctx, own, p, o) })
	}
	tabs.Wait()
	return !slices.ContainsFunc(given, func(key issuedKey) bool { return !key.good })
}

// leave bans or deletes somebody. Whose row is gone may sign up again with the same e-mail, and
// must not get what the first one had.
func (s *soak) leave(ctx context.Context, random *rand.Rand) {
	p := s.people.leaver(random, s.elapsed())
	if p == nil {
		return
	}
	s.tally.left.Add(1)
	sql := []string{
		`update auth.users set banned_until = now() + interval '1 day' where id = $1`,
		`update auth.users set deleted_at = now() where id = $1`,
		`delete from auth.users where id = $1`,
	}[random.IntN(3)]
	gone := s.db.inTransaction(ctx, true, sql, []any{p.id}, func() {})
	if gone {
		s.watchOut(p)
	}
	if gone && strings.HasPrefix(sql, "delete") {
		s.enroll(ctx, random, &person{id: newID(random), email: p.email, foreign: true})
	}
}

// elapsed is the part of the soak that is over.
func (s *soak) elapsed() float64 { return time.Since(s.began).Seconds() / s.length.Seconds() }

// beAway is a ban that is lifted.
func (s *soak) beAway(ctx context.Context, random *rand.Rand) {
	p := s.people.leaver(random, s.elapsed())
	if p == nil {
		return
	}
	ban := `update auth.users set banned_until = now() + make_interval(secs => $2) where id = $1`
	if s.db.inTransaction(ctx, true, ban, []any{p.id, 86400}, func() {}) {
		s.pause(time.Duration(random.IntN(3000)) * time.Millisecond)
	}
	back := s.until(30*time.Second, func() bool { return s.db.inTransaction(ctx, true, ban, []any{p.id, -1}, func() {}) })
	if !back {
		s.breach("the database does not lift a ban")
		return
	}
	s.tally.returned.Add(1)
	s.people.enter(p, true)
}

// callFrontEnd asks for a Coder user, without waiting for the next token.
func (s *soak) callFrontEnd(ctx context.Context, random *rand.Rand) {
	p := s.people.pick(random)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": p.id.String(), "email": p.email, "role": "authenticated", "aal": "aal1", "aud": "authenticated",
		"exp": time.Now().Add(shortLife(random)).Unix(), "iss": "https://soak.example/auth/v1",
	}).SignedString([]byte(jwtSecret))
	if err != nil {
		s.t.Error(err)
	}
	s.secrets.never(token)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://coderhook.invalid/create-coder-user", nil)
	if err != nil {
		s.t.Error(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.auth.client.Do(request)
	if err != nil {
		return // a browser tries again
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	s.tally.frontEnd.add(fmt.Sprint(response.StatusCode))
	if wholeKey.Match(body) || response.StatusCode >= 500 && response.StatusCode != http.StatusServiceUnavailable {
		s.breach("create-coder-user of %s: status %d: %s", p.id, response.StatusCode, body)
	}
}
