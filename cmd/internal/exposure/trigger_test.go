package exposure

import (
	"testing"

	"coderhook/store"
)

// A trigger that only keeps the old key hands it to nobody.
func TestKeepingTheOldKeyHandsItToNobody(t *testing.T) {
	t.Parallel()
	for body, passOn := range map[string]bool{
		`new.api_key := old.api_key; return new;`:                                           false,
		`if new.api_key <> old.api_key then new.api_key = old.api_key; end if; return new;`: false,
		`new.name := old.api_key; return new;`:                                              true,
		`new.api_key := public.f(old.api_key); return new;`:                                 true,
	} {
		got := judgeTrigger(store.RowTrigger{Language: "plpgsql", Before: true, Fires: true, Source: "begin " + body + " end"}, []string{"api_key"})
		if got.PassOn != passOn {
			t.Errorf("%s: hands it on: %v, want %v", body, got.PassOn, passOn)
		}
	}
}
