package codertest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// searchUsers knows free text, some of the filters and a limit. A member finds only itself.
func (e *exchange) searchUsers() reply {
	limit := 0
	if raw := e.r.URL.Query().Get("limit"); raw != "" {
		n, err := strconv.ParseInt(raw, 10, 32)
		if err != nil {
			return refusal(http.StatusBadRequest, "Query parameters have invalid values.", "", validation("limit",
				fmt.Sprintf("Query param %q must be a valid 32-bit positive integer: %v", "limit", err)))
		}
		limit = int(n)
	}
	wanted, bad := e.searchFilters(e.r.URL.Query().Get("q"))
	if bad != "" {
		return e.badFilter(bad)
	}
	list := []object{}
	for _, a := range slices.SortedFunc(slices.Values(e.accounts), byUsername) {
		visible := !a.deleted && !a.system && (a == e.caller || e.caller.administers())
		if visible && wanted(a) {
			list = append(list, e.userJSON(a))
		}
	}
	found := len(list)
	if limit > 0 && limit < found {
		list = list[:limit]
	}
	return jsonReply(http.StatusOK, object{"users": list, "count": found})
}

func byUsername(a, b *account) int {
	return cmp.Compare(strings.ToLower(a.username), strings.ToLower(b.username))
}

type filter func(*account) bool

// searchFilters returns the first filter that this generation does not know as bad. All free text is one text.
func (e *exchange) searchFilters(query string) (all filter, bad string) {
	var free []string
	var filters []filter
	for term := range strings.FieldsSeq(strings.ToLower(query)) {
		name, value, named := strings.Cut(term, ":")
		if !named {
			free = append(free, term)
			continue
		}
		f := e.searchFilter(name, value)
		if f == nil {
			return nil, name
		}
		filters = append(filters, f)
	}
	filters = append(filters, contains(strings.Join(free, " ")))
	return func(a *account) bool {
		return !slices.ContainsFunc(filters, func(f filter) bool { return !f(a) })
	}, ""
}

func contains(text string) filter {
	return func(a *account) bool { return strings.Contains(strings.ToLower(a.username+"\n"+a.email), text) }
}

func (e *exchange) searchFilter(name, value string) filter {
	switch {
	case name == "status":
		return func(a *account) bool { return a.status == value }
	case name == "login_type" && e.version >= v2x31:
		return func(a *account) bool { return a.loginType == value }
	case name == "name" && e.version >= v2x36:
		return func(a *account) bool { return strings.Contains(strings.ToLower(a.name), value) }
	case name == "service_account" && e.version >= v2x36:
		return func(*account) bool { return value == "false" }
	}
	return nil
}

func (e *exchange) badFilter(name string) reply {
	detail := fmt.Sprintf("%q is not a valid query param", name)
	if e.version == v2x0 {
		detail = "Query param " + detail
	}
	return refusal(http.StatusBadRequest, "Invalid user search query.", "", validation(name, detail))
}
