package hook

import (
	"strings"
	"testing"

	"coderhook/coderclient/codertest"
	"coderhook/hook/authtest"
	"coderhook/hook/reconcile"
	"coderhook/store"
)

// A workspace runs on when its owner is suspended: it is stopped, and nobody else's.
func TestWorkspacesOfWhoLeftAreStopped(t *testing.T) {
	t.Parallel()
	w, _, _ := newbie(t, profileNew())
	w.coder.AddUser("eve", "eve@example.com", "password")
	w.coder.AddWorkspace("eve", "hers")
	w.coder.AddWorkspace("ada0ada0", "runs")
	down, failed := w.coder.AddWorkspace("ada0ada0", "is-down"), w.coder.AddWorkspace("ada0ada0", "half-up")
	w.coder.SetWorkspace(down.ID, "stop", "stopped", false)
	w.coder.SetWorkspace(failed.ID, "start", "failed", false)
	w.db.Exec(t, banAda)
	r := w.reconciler()
	var told []string
	r.Tell = func(text string) { told = append(told, text) }
	if sum, err := r.Reconcile(t.Context(), true); err != nil || sum.Stopped != 2 || w.coder.WorkspacesOf("ada0ada0")[0].Builds != 1 {
		t.Errorf("a dry run: %s, %v", sum, err)
	}
	w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1, Stopped: 2})
	for _, workspace := range w.coder.WorkspacesOf("ada0ada0") {
		if workspace.Status != "stopped" {
			t.Errorf("%+v", workspace)
		}
	}
	if got := w.coder.WorkspacesOf("eve")[0]; got.Status != "running" {
		t.Errorf("Eve's: %+v", got)
	}
	if text := strings.Join(told, "\n"); !strings.Contains(text, ada.String()+": workspace runs stopped") {
		t.Errorf("told %s", text)
	}
	w.reconcile(t, r, reconcile.Summary{}) // which sees that they are down
	w.coder.ForgetRequests()
	w.reconcile(t, r, reconcile.Summary{})
	if calls := w.coder.Requests(); len(calls) > 0 {
		t.Errorf("asks Coder again: %v", calls)
	}
}

// With workspaces Coder deletes nobody: they are suspended, and the workspaces stopped.
func TestOffboardByDeletionStopsWorkspaces(t *testing.T) {
	t.Parallel()
	w, _, _ := newbie(t, profileNew())
	w.coder.AddWorkspace("ada0ada0", "dev")
	w.db.Exec(t, deleteAda)
	r := w.reconciler()
	r.Delete = true
	w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1, Stopped: 1})
}

// That a workspace can't be stopped is said, and tried again; access has ended all the same.
func TestStoppingIsTriedAgain(t *testing.T) {
	t.Parallel()
	w, _, key := newbie(t, profileNew())
	w.coder.AddWorkspace("ada0ada0", "dev")
	heal := w.coder.Fail(codertest.Fault{Method: "POST", Path: "/workspaces/*/builds", Status: 403, Body: `{"message":"You do not have permission to stop this workspace."}`})
	w.db.Exec(t, banAda)
	w.reconcile(t, w.reconciler(), reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1, Failed: 1})
	if w.works(t, key) || w.status(t, ada) != store.Offboarded || !strings.Contains(w.log.String(), "permission to stop") {
		t.Errorf("she is %s", w.status(t, ada))
	}
	w.reconcile(t, w.reconciler(), reconcile.Summary{Failed: 1})
	heal()
	w.watching(t, w.replica, (*reconcile.Reconciler).Watch)
	promptly(t, "it is stopped", func() bool { return w.coder.WorkspacesOf("ada0ada0")[0].Status == "stopped" })
	promptly(t, "nothing is left", func() bool { n, _, err := w.store.PendingDepartures(t.Context()); return err == nil && n == 0 })
}

// One that is just starting is stopped as soon as Coder takes a build again, unless its owner is back by then.
func TestWorkspaceThatIsJustStarting(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]bool{"still banned": false, "back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, _ := newbie(t, profileNew())
			workspace := w.coder.AddWorkspace("ada0ada0", "dev")
			w.coder.SetWorkspace(workspace.ID, "start", "starting", false)
			w.db.Exec(t, banAda)
			r := w.reconciler()
			w.reconcile(t, r, reconcile.Summary{Offboarded: 1, Suspended: 1, Tokens: 1})
			if back {
				w.db.Exec(t, unbanAda)
			}
			w.coder.SetWorkspace(workspace.ID, "start", "running", false)
			w.watching(t, w.replica, (*reconcile.Reconciler).Watch)
			promptly(t, "nothing is left", func() bool { n, _, err := w.store.PendingDepartures(t.Context()); return err == nil && n == 0 })
			want := map[bool]string{false: "stopped", true: "running"}[back]
			if got := w.coder.WorkspacesOf("ada0ada0")[0].Status; got != want {
				t.Errorf("it is %s, want %s", got, want)
			}
		})
	}
}

// Whom we did not make keeps account and workspaces, but the sessions in apps that a key of ours opened end with it.
func TestAppSessionsOfLinkedAccountsEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		role string
		want reconcile.Summary
	}{
		"linked": {"", reconcile.Summary{Offboarded: 1, Tokens: 1}},
		"owner":  {"owner", reconcile.Summary{Tokens: 1, Failed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, key := newbie(t, profileNew())
			w.coder.AddToken("ada0ada0", "her-own", 30*authtest.Day)
			w.coder.AddWorkspace("ada0ada0", "dev")
			if _, err := w.client.Me(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			if _, err := w.client.AuthRedirect(t.Context(), key, appURI); err != nil || w.coder.AppKeysOf("ada0ada0") != 1 {
				t.Fatalf("%d sessions, %v", w.coder.AppKeysOf("ada0ada0"), err)
			}
			if test.role != "" {
				w.promote(t, "ada0ada0", test.role)
			} else {
				w.db.Exec(t, `update coderhook.accounts set linked = true`)
			}
			w.db.Exec(t, banAda)
			w.reconcile(t, w.reconciler(), test.want)
			if left := w.tokensOfAda(); w.coder.AppKeysOf("ada0ada0") != 0 || len(left) != 1 || left[0].TokenName != "her-own" {
				t.Errorf("%d sessions, tokens %+v", w.coder.AppKeysOf("ada0ada0"), left)
			}
			if got := w.coder.WorkspacesOf("ada0ada0")[0].Status; got != "running" {
				t.Errorf("the workspace is %s", got)
			}
		})
	}
}
