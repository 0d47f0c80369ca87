package doctor

import (
	"context"
	"fmt"
	"strings"

	"coderhook/store"
)

// checkRealtime looks for the two ways in which Supabase Realtime spreads keys.
func (d *Doctor) checkRealtime(ctx context.Context, i *store.Inspector) error {
	realtime, err := i.Realtime(ctx)
	if err != nil {
		return err
	}
	switch {
	case realtime.Published && realtime.Directly:
		d.warn("realtime", runSQL(fmt.Sprintf("alter publication supabase_realtime drop table %s;", i.Table())),
			"changes of %s are published, with the key for everybody who may read it", i.Table())
	case realtime.Published:
		d.warn("realtime", cure{do: "make the publication supabase_realtime anew, for only the tables that the front end listens to"},
			"changes of all tables are published, so those of %s too, with the key for everybody who may read it", i.Table())
	default:
		d.ok("realtime", "the keys are not published")
	}
	d.judgeSubscriptions(realtime.Subscriptions)
	return nil
}

// judgeSubscriptions warns of roles that read the claims of everybody who listens, as the keys are in them.
func (d *Doctor) judgeSubscriptions(roles []string) {
	const check = "realtime.subscription"
	if len(roles) == 0 {
		d.ok(check, "can't be read by anon or authenticated")
		return
	}
	who := strings.Join(roles, ", ")
	d.warn(check, cure{
		"keep the schema realtime out of the Data API (Settings → Data API → Exposed schemas); to shut it altogether run, as the table's owner",
		"revoke select on realtime.subscription from " + who + ", public;",
	}, "can be read by %s: it holds the claims of all who listen, with their keys", who)
}
