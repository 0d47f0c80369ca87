package codertest

import (
	"fmt"
	"net/http"
	"strings"
)

// scopedResources are those whose scopes a token may ask for; others are internal or do not exist.
const scopedResources = " coder user workspace template organization file task api_key "

// setScopes: a list wins over the single scope; versions before the list ignore it and refuse late.
func (e *exchange) setScopes(k *apiKey, scope string, scopes, allow []string) *reply {
	if e.ignoresScopes {
		return nil
	}
	if e.version < v2x31 {
		return setOldScope(k, scope)
	}
	if len(scopes) == 0 && scope != "" {
		scopes = []string{"coder:" + scope}
	}
	for _, s := range scopes {
		resource, action, _ := strings.Cut(s, ":")
		switch {
		case s == "all" || s == "application_connect":
			return objection(http.StatusInternalServerError, textNoKey,
				fmt.Sprintf("generate API key: invalid API key scope: %q", s))
		case resource == "coder" && action != "all" && action != "application_connect":
			return objection(http.StatusBadRequest, textNoKey,
				fmt.Sprintf("invalid or unsupported API key scope: %q", scope))
		case !strings.Contains(scopedResources, " "+resource+" "):
			return objection(http.StatusBadRequest, textNoKey,
				fmt.Sprintf("invalid or unsupported API key scope: %q", s))
		}
	}
	if len(scopes) > 0 {
		k.scopes = scopes
	}
	if len(allow) > 0 {
		k.allow = allow
	}
	return nil
}

func setOldScope(k *apiKey, scope string) *reply {
	switch scope {
	case "", "all":
	case "application_connect":
		k.scopes = []string{"coder:application_connect"}
	default:
		return objection(http.StatusInternalServerError, textNoKey,
			fmt.Sprintf("generate API key: invalid API key scope: %q", scope))
	}
	return nil
}
