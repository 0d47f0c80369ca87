package codertest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Of these routes there are recordings of refusals only. They are taken from Coder's source at v2.36.0, which for what is
// imitated here is the same at v2.0.2, v2.13.5 and v2.31.3: coderd/workspaces.go (workspaces),
// coderd/workspacebuilds.go (postWorkspaceBuilds), coderd/wsbuilder/wsbuilder.go (checkRunningBuild),
// codersdk/workspaces.go and workspacebuilds.go (the fields), codersdk/provisionerdaemons.go
// (ConvertWorkspaceStatus), coderd/users.go (deleteUser) and coderd/userauth.go (postLogout). An answer has those
// of the fields that tell workspaces apart and say how they stand.

// workspace has one agent; its last build is all that happens to it.
type workspace struct {
	id, owner           uuid.UUID
	agent, lastBuild    uuid.UUID
	name                string
	transition, status  string
	build               int
	created, lastChange time.Time
	stuck               bool // its builds stay pending
	buildLog, agentLog  []object
}

// Workspace is one as it is now.
type Workspace struct {
	ID                 uuid.UUID
	Agent, Build       uuid.UUID // the last build
	Name               string
	Transition, Status string
	Builds             int
}

// AddWorkspace gives the user of that name a workspace that runs.
func (s *Server) AddWorkspace(username, name string) Workspace {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &workspace{
		id: uuid.New(), agent: uuid.New(), lastBuild: uuid.New(), owner: s.mustName(username).id, name: name, transition: "start", status: "running", build: 1,
		created: s.time(), lastChange: s.time(),
	}
	s.workspaces = append(s.workspaces, w)
	s.announce()
	return w.public()
}

// SetWorkspace changes how a workspace stands, as a provisioner does. A new build of one that is stuck stays
// pending; that of any other is done at once.
func (s *Server) SetWorkspace(id uuid.UUID, transition, status string, stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := find(s.workspaces, func(w *workspace) bool { return w.id == id }); w != nil {
		w.transition, w.status, w.stuck, w.lastChange = transition, status, stuck, s.time()
		s.announce()
	}
}

// WorkspacesOf are the user's, in the order of their making.
func (s *Server) WorkspacesOf(username string) []Workspace {
	s.mu.Lock()
	defer s.mu.Unlock()
	owner := s.mustName(username)
	var list []Workspace
	for _, w := range s.workspaces {
		if w.owner == owner.id {
			list = append(list, w.public())
		}
	}
	return list
}

func (w *workspace) public() Workspace {
	return Workspace{ID: w.id, Agent: w.agent, Build: w.lastBuild, Name: w.name, Transition: w.transition, Status: w.status, Builds: w.build}
}

// building: Coder is at work on it.
func (w *workspace) building() bool {
	return slices.Contains([]string{"pending", "starting", "stopping", "canceling", "deleting"}, w.status)
}

func (s *Server) ownsWorkspaces(a *account) bool {
	return slices.ContainsFunc(s.workspaces, func(w *workspace) bool { return w.owner == a.id && w.status != "deleted" })
}

// listWorkspaces knows one filter, the owner's name, and pages.
func (e *exchange) listWorkspaces() reply {
	query := e.r.URL.Query()
	limit, badLimit := number(query.Get("limit"))
	offset, badOffset := number(query.Get("offset"))
	name, filtered := strings.CutPrefix(strings.ToLower(query.Get("q")), "owner:")
	if badLimit != nil || badOffset != nil || !filtered && name != "" {
		rep := refusal(http.StatusNotImplemented, "codertest: want q=owner:NAME or no q, limit and offset", "")
		rep.unexpected = true
		return rep
	}
	owner := e.accountByName(name)
	if name == "me" {
		owner = e.caller
	}
	list := []object{}
	for _, w := range e.workspaces {
		wanted := !filtered || owner != nil && w.owner == owner.id
		if wanted && e.sees(w) && w.status != "deleted" {
			list = append(list, e.workspaceJSON(w))
		}
	}
	count := len(list)
	list = list[min(offset, count):]
	if limit > 0 {
		list = list[:min(limit, len(list))]
	}
	return jsonReply(http.StatusOK, object{"workspaces": list, "count": count})
}

// number is 0 for none.
func number(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.Atoi(text)
}

func (e *exchange) sees(w *workspace) bool { return w.owner == e.caller.id || e.caller.is("owner") }

// workspaceBy finds the workspace that a parameter of the path stands for; else it says what to answer.
func (e *exchange) workspaceBy(param string, idOf func(*workspace) uuid.UUID) (*workspace, *reply) {
	id, err := uuid.Parse(e.params[param])
	if err != nil {
		rep := refusal(http.StatusBadRequest, fmt.Sprintf("Invalid UUID %q.", e.params[param]), err.Error())
		return nil, &rep
	}
	w := find(e.workspaces, func(w *workspace) bool { return idOf(w) == id })
	if w == nil || !e.sees(w) {
		rep := notFound()
		return nil, &rep
	}
	return w, nil
}

func workspaceID(w *workspace) uuid.UUID { return w.id }
func agentID(w *workspace) uuid.UUID     { return w.agent }
func buildID(w *workspace) uuid.UUID     { return w.lastBuild }

func (e *exchange) getWorkspace() reply {
	w, no := e.workspaceBy("workspace", workspaceID)
	switch {
	case no != nil:
		return *no
	case w.status == "deleted":
		return refusal(http.StatusGone, fmt.Sprintf("Workspace %q was deleted, you can view this workspace by specifying '?deleted=true' and trying again.", w.id), "")
	}
	return jsonReply(http.StatusOK, e.workspaceJSON(w))
}

func (e *exchange) workspaceByName() reply {
	owner := e.accountByName(e.params["user"])
	if e.params["user"] == "me" {
		owner = e.caller
	}
	w := find(e.workspaces, func(w *workspace) bool {
		return owner != nil && w.owner == owner.id && w.name == e.params["name"] && w.status != "deleted"
	})
	if w == nil || !e.sees(w) {
		return notFound()
	}
	return jsonReply(http.StatusOK, e.workspaceJSON(w))
}

func (e *exchange) getBuild() reply {
	w, no := e.workspaceBy("build", buildID)
	if no != nil {
		return *no
	}
	return jsonReply(http.StatusOK, e.buildJSON(w))
}

func (e *exchange) createBuild() reply {
	w, no := e.workspaceBy("workspace", workspaceID)
	if no != nil {
		return *no
	}
	f := e.fields("CreateWorkspaceBuildRequest")
	transition := f.text("transition")
	switch {
	case f.fault != "":
		return badJSON(f.fault)
	case !slices.Contains([]string{"start", "stop", "delete"}, transition):
		return refusal(http.StatusBadRequest, textInvalid, "", invalid("transition", "oneof", transition))
	case w.status == "deleted":
		return refusal(http.StatusConflict, "Cannot "+transition+" a deleted workspace!", "This workspace has been deleted and cannot be modified.")
	case w.building():
		return refusal(http.StatusConflict, "A workspace build is already active.", "A workspace build is already active.")
	}
	w.transition, w.status, w.lastChange = transition, "pending", e.time()
	w.build++
	w.lastBuild, w.buildLog = uuid.New(), nil
	defer e.announce()
	rep := jsonReply(http.StatusCreated, e.buildJSON(w))
	if !w.stuck {
		w.status = map[string]string{"start": "running", "stop": "stopped", "delete": "deleted"}[transition]
	}
	return rep
}

func (s *Server) workspaceJSON(w *workspace) object {
	return object{
		"id": w.id, "created_at": w.created, "updated_at": w.lastChange, "owner_id": w.owner,
		"owner_name": s.accountByID(w.owner).username, "organization_id": s.orgs[0].id, "name": w.name,
		"latest_build": s.buildJSON(w), "outdated": false, "last_used_at": w.lastChange,
	}
}

func (s *Server) buildJSON(w *workspace) object {
	return object{
		"id": w.lastBuild, "created_at": w.lastChange, "updated_at": w.lastChange, "workspace_id": w.id,
		"workspace_name": w.name, "workspace_owner_id": w.owner, "workspace_owner_name": s.accountByID(w.owner).username,
		"build_number": w.build, "transition": w.transition, "status": w.status, "reason": "initiator", "resources": []object{{
			"id": w.agent, "name": "main", "type": "null_resource", "workspace_transition": w.transition, "hide": false,
			"agents": []object{s.agentJSON(w)},
		}},
	}
}

// logOut ends the key that it came with, and the user's sessions in apps.
func (e *exchange) logOut() reply {
	e.dropKeys(func(k *apiKey) bool {
		return k == e.key || k.user == e.caller.id && k.scope() == "application_connect"
	})
	return jsonReply(http.StatusOK, object{"message": "Logged out!"})
}

// AppKeysOf counts the user's sessions in workspace apps.
func (s *Server) AppKeysOf(username string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mustName(username)
	for _, k := range s.keys {
		if k.user == a.id && k.scope() == "application_connect" {
			n++
		}
	}
	return n
}
