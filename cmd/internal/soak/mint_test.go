package soak

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"coderhook/hook/webhook"

	"github.com/google/uuid"
)

// recordings are of real Supabase Auth servers: with a stale key in rich metadata, with a short
// app_metadata, with an empty one, and of a refresh.
var recordings = []string{"01-password-rich-metadata", "02-password", "10-password-empty-metadata", "12-token-refresh-one-secret", "15-v2.160.0-token_refresh"}

const anonymousRecording = "09-anonymous"

var (
	issuedAt  = regexp.MustCompile(`"exp":\d+,"iat":(\d+)`)
	expiresAt = regexp.MustCompile(`"exp":(\d+)`)
	claimsIn  = regexp.MustCompile(`(?s)"claims":(\{.*\}),"authentication_method"`)
	userIn    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// recorded reads a recording once.
var recorded = sync.OnceValue(func() map[string][]byte {
	bodies := make(map[string][]byte)
	for _, name := range append([]string{anonymousRecording}, recordings...) {
		content, err := os.ReadFile("../../../testdata/hook/" + name + ".json")
		var file struct {
			Request struct{ Body string }
		}
		if err == nil {
			err = json.Unmarshal(content, &file)
		}
		if err != nil {
			panic(err)
		}
		bodies[name] = []byte(file.Request.Body)
	}
	return bodies
})

// shortLife is that of an access token here.
func shortLife(random *rand.Rand) time.Duration { return time.Duration(3+random.IntN(3)) * time.Second }

// mintOptions say what is special about a mint.
type mintOptions struct {
	locked bool          // the sign-in's own transaction locks the profile
	life   time.Duration // of the token; 0: a short one
}

// mint asks for a token as Supabase Auth does and judges what comes back.
func (s *soak) mint(ctx context.Context, random *rand.Rand, p *person, o mintOptions) (given issuedKey) {
	if o.life == 0 {
		o.life = shortLife(random)
	}
	event := s.event(recordings[random.IntN(len(recordings))], p.id, p.email, o.life)
	before := s.coder.Installation()
	c := s.auth.hook(ctx, event)
	answered := s.auth.judgeCall(p.id.String(), c)
	p.noteCall(c, answered)
	if !answered {
		return issuedKey{}
	}
	s.tally.mints.Add(1)
	return s.judgeAnswer(p, c, event, before, o)
}

// event is a recorded one for this user, with a token that lives so long from now on.
func (s *soak) event(recording string, id uuid.UUID, email string, life time.Duration) []byte {
	body := recorded()[recording]
	found := issuedAt.FindSubmatch(body)
	issued, _ := strconv.ParseInt(string(found[1]), 10, 64)
	end := strconv.FormatInt(issued+int64(life.Seconds()), 10)
	body = expiresAt.ReplaceAll(body, []byte(`"exp":`+end))
	event, err := webhook.Replay(body, id, email, time.Now())
	if err != nil {
		s.t.Error(err)
	}
	return event
}

// anonymous users get their claims back as they came.
func (s *soak) anonymous(ctx context.Context, random *rand.Rand) {
	id := newID(random)
	event := s.event(anonymousRecording, id, "", shortLife(random))
	c := s.auth.hook(ctx, event)
	if !s.auth.judgeCall(id.String(), c) {
		return
	}
	s.tally.mints.Add(1)
	s.tally.outcomes.add("skipped")
	if want := `{"claims":` + string(claimsIn.FindSubmatch(event)[1]) + `}`; string(c.body) != want {
		s.breach("the claims of anonymous user %s changed: %s, want %s", id, c.body, want)
	}
}
