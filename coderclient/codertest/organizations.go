package codertest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// getOrganization: versions up to 2.1 find by id only.
func (e *exchange) getOrganization() reply {
	name := e.params["name"]
	id, err := uuid.Parse(name)
	if err != nil && e.version == v2x0 {
		return refusal(http.StatusBadRequest, fmt.Sprintf("Invalid UUID %q.", name), err.Error())
	}
	if name == "default" {
		return jsonReply(http.StatusOK, e.organizationJSON(e.orgs[0]))
	}
	return e.organizationReply(find(e.orgs, func(o *organization) bool { return o.id == id || o.name == name }))
}

func (e *exchange) organizationReply(o *organization) reply {
	if o == nil {
		return notFound()
	}
	return jsonReply(http.StatusOK, e.organizationJSON(o))
}

func (e *exchange) listOrganizations() reply {
	list := []object{}
	for _, o := range e.orgs {
		list = append(list, e.organizationJSON(o))
	}
	return jsonReply(http.StatusOK, list)
}

func (e *exchange) userOrganizations() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	list := []object{}
	for _, o := range e.orgs {
		if a.belongsTo(o) {
			list = append(list, e.organizationJSON(o))
		}
	}
	return jsonReply(http.StatusOK, list)
}

func (a *account) belongsTo(o *organization) bool {
	for _, id := range a.orgs {
		if id == o.id {
			return true
		}
	}
	return false
}

func (e *exchange) userOrganization() reply {
	a, no := e.target()
	if a == nil {
		return no
	}
	return e.organizationReply(find(e.orgs, func(o *organization) bool {
		return a.belongsTo(o) && strings.EqualFold(o.name, e.params["name"])
	}))
}

// createOrganization needs a licence.
func (e *exchange) createOrganization() reply { return forbidden() }
