package webhook

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"coderhook/hook/claims"

	"github.com/google/uuid"
)

// Replay returns a recorded event for another user and for a token of now with the life that the
// recorded one had. Every other byte stays as Supabase Auth sent it.
func Replay(body []byte, user uuid.UUID, email string, now time.Time) ([]byte, error) {
	ev, err := Parse(body)
	if err != nil {
		return nil, err
	}
	var times struct {
		Issued int64 `json:"iat"`
	}
	if err := claims.Unmarshal(ev.Claims, &times); err != nil || times.Issued <= 0 {
		return nil, errors.New("claims.iat is missing")
	}
	expires := now.Unix() + ev.Deciding.Expires - times.Issued
	changes := []string{
		ev.UserID, user.String(),
		strconv.FormatInt(ev.Deciding.Expires, 10), strconv.FormatInt(expires, 10),
		strconv.FormatInt(times.Issued, 10), strconv.FormatInt(now.Unix(), 10),
	}
	if ev.Deciding.Email != "" { // who has none stays without
		changes = append(changes, strconv.Quote(ev.Deciding.Email), strconv.Quote(email))
	}
	return []byte(strings.NewReplacer(changes...).Replace(string(body))), nil
}
