package progress

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestALineNowAndThenWhereThereIsNoTerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := Start(&out, "users", 100)
		for range 50 {
			time.Sleep(500 * time.Millisecond)
			p.Step()
		}
		p.Say("user %d: no", 7)
		const want = "20 of about 100 users in 10s, another 40s at this pace\n40 of about 100 users in 20s, another 30s at this pace\nuser 7: no\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", out.String(), want)
		}
		if end := p.End(); end != "50 of about 100 users in 25s" {
			t.Error(end)
		}
	})
}

// On a terminal the bar is redrawn in its line, and what is said stands in a line of its own.
func TestABarOnATerminal(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := Start(&out, "users", 4)
	p.bar = newBar(&out, "users", 4)
	p.Step()
	p.Say("user 7: no")
	for range 5 { // there were more than was thought
		p.Step()
	}
	p.End()
	if text := out.String(); !strings.Contains(text, "users") || !strings.Contains(text, "\ruser 7: no\n") || strings.Count(text, "\n") > 1 {
		t.Errorf("%q", text)
	}
}
