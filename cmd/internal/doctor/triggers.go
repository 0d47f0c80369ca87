package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"coderhook/cmd/internal/exposure"
	"coderhook/store"
)

const triggersCheck = "triggers on the profiles table"

// judgeTriggers names what can refuse the server's writes, change them, or carry the keys elsewhere.
func (d *Doctor) judgeTriggers(found exposure.Report) {
	var harmless []string
	for _, t := range found.Triggers {
		name := fmt.Sprintf("%s on %s (%s)", t.Name, t.Table, t.Function)
		if t.Harmless() {
			harmless = append(harmless, t.Name)
			continue
		}
		if copies := slices.Concat(t.Copies, t.Perhaps); len(copies) > 0 {
			d.ok(triggersCheck, "%s copies the row, or a part of it, to %s: see copies of the keys", name, strings.Join(copies, ", "))
		}
		if t.Refused {
			c := runSQL(fmt.Sprintf("alter function %s() security definer set search_path = '';", t.Function))
			c.do += ", once all names in it have their schema"
			d.sayOf(t, c, name+" calls functions of the schema auth with the rights of the server's role, which has none there (42501): keys can't be stored")
		}
		d.judgeTrigger(t, name)
	}
	for _, r := range found.Rules {
		d.warn(triggersCheck, runSQL(fmt.Sprintf("drop rule %s on %s;", r.Name, r.Table)), "rule %s on %s%s", r.Name, r.Table, whatRuleDoes(r))
	}
	if len(found.Places) > 0 && len(found.Rules)+len(found.Triggers) == len(harmless) {
		d.ok(triggersCheck, "%s", cmp.Or(strings.Join(harmless, ", "), "none"))
	}
}

func (d *Doctor) judgeTrigger(t exposure.Trigger, name string) {
	look := cure{do: "see that " + t.Function + " lets the role coderhook write a key, and hands it to nobody"}
	var may []string
	for _, m := range []struct {
		true bool
		text string
	}{
		{t.Unread, "is written in " + t.Language + ", which is not judged here"},
		{t.Raises, "can refuse the server's writes by an exception"},
		{t.Changes, "can change the key that is written, or keep the old one: users would get a new key at every mint"},
		{t.PassOn, "hands the row with the key to something that is not judged here"},
	} {
		if m.true {
			may = append(may, m.text)
		}
	}
	if len(may) > 0 {
		d.warn(triggersCheck, look, "%s %s", name, strings.Join(may, "; "))
	}
}

// sayOf warns instead of failing where a condition may keep the trigger from what its function does.
func (d *Doctor) sayOf(t exposure.Trigger, c cure, text string) {
	if t.Sometimes {
		d.warn(triggersCheck, c, "%s, whenever its condition holds", text)
		return
	}
	d.fail(triggersCheck, c, "%s", text)
}

func whatRuleDoes(r store.Rule) string {
	switch {
	case r.NamesKey && len(r.Tables) > 0:
		return " copies the key to " + strings.Join(slices.Compact(r.Tables), ", ")
	case r.Instead:
		return " replaces writes: keys may not be stored"
	}
	return " is not judged here"
}
