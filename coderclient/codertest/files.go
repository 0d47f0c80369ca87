package codertest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Files, templates and notifications are taken from Coder's source at v2.36.0: coderd/files.go, coderd/templates.go and
// coderd/inboxnotifications.go, and the fields from codersdk. There are no recordings of them.

type file struct {
	id, owner uuid.UUID
	hash      [sha256.Size]byte
	kind      string
	data      []byte
}

func isUpload(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Trim(r.URL.Path, "/") == "api/v2/files"
}

func (e *exchange) postFile() reply {
	kind := e.r.Header.Get("Content-Type")
	if !slices.Contains([]string{"application/x-tar", "application/zip", "application/x-zip-compressed"}, kind) {
		return refusal(http.StatusBadRequest, fmt.Sprintf("Unsupported content type header %q.", kind), "")
	}
	hash := sha256.Sum256(e.body)
	known := find(e.files, func(f *file) bool { return f.hash == hash && f.owner == e.caller.id })
	if known != nil {
		return jsonReply(http.StatusOK, object{"hash": known.id})
	}
	f := &file{id: uuid.New(), owner: e.caller.id, hash: hash, kind: kind, data: e.body}
	e.files = append(e.files, f)
	return jsonReply(http.StatusCreated, object{"hash": f.id})
}

func (e *exchange) getFile() reply {
	id, err := uuid.Parse(e.params["file"])
	if err != nil {
		return refusal(http.StatusBadRequest, "File id must be a valid UUID.", "")
	}
	f := find(e.files, func(f *file) bool { return f.id == id })
	switch {
	case f == nil || f.owner != e.caller.id && !e.caller.is("owner"):
		return notFound()
	case e.r.URL.Query().Get("format") != "":
		return refusal(http.StatusBadRequest, "Unsupported conversion format.", "")
	}
	return reply{stream: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", f.kind)
		_, _ = w.Write(f.data) // the client is gone
	}}
}

// listTemplates has one, from which all workspaces are.
func (e *exchange) listTemplates() reply {
	org := e.orgs[0]
	id := uuid.NewSHA1(e.deployment, []byte("template"))
	return jsonReply(http.StatusOK, []object{{
		"id": id, "created_at": org.created, "updated_at": org.created, "organization_id": org.id, "organization_name": org.name,
		"organization_display_name": org.displayName, "organization_icon": "", "name": "docker", "display_name": "Docker", "provisioner": "echo",
		"active_version_id": uuid.NewSHA1(id, []byte("version")), "active_user_count": 0, "build_time_stats": object{}, "description": "",
		"deprecated": false, "deprecation_message": "", "icon": "", "default_ttl_ms": 0, "activity_bump_ms": 0,
		"created_by_id": e.accounts[0].id, "created_by_name": e.accounts[0].username, "allow_user_autostart": true,
		"allow_user_autostop": true, "allow_user_cancel_workspace_jobs": true, "require_active_version": false,
	}})
}

// Notify puts a notification into the user's inbox.
func (s *Server) Notify(username, title string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inbox = append(s.inbox, object{
		"id": uuid.New(), "user_id": s.mustName(username).id, "template_id": uuid.New(), "targets": []uuid.UUID{}, "title": title,
		"content": title, "icon": "DEFAULT_ICON_OTHER", "actions": []object{}, "read_at": nil, "created_at": s.time(),
	})
	s.announce()
}

// inboxOf is the user's, the oldest first.
func (s *Server) inboxOf(user uuid.UUID) []object {
	list := []object{}
	for _, n := range s.inbox {
		if n["user_id"] == user {
			list = append(list, n)
		}
	}
	return list
}

func (e *exchange) listInbox() reply {
	list := e.inboxOf(e.caller.id)
	count := len(list)
	slices.Reverse(list)
	return jsonReply(http.StatusOK, object{"notifications": list, "unread_count": count})
}

// watchInbox tells of what comes in from now on.
func (e *exchange) watchInbox() reply {
	s, user := e.Server, e.caller.id
	seen := len(s.inboxOf(user))
	return s.told(func() (messages []any) {
		list := s.inboxOf(user)
		for _, n := range list[min(seen, len(list)):] {
			messages = append(messages, object{"notification": n, "unread_count": len(list)})
		}
		seen = len(list)
		return messages
	})
}
