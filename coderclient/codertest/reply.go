package codertest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// reply is an answer before the headers that all have.
type reply struct {
	status     int
	header     http.Header
	body       string
	location   string // makes it a redirect
	stream     stream // writes status and body itself, while the server is not locked
	unexpected bool   // a request that this server does not know
}

// object is JSON that is written by hand, so that no Go type decides about the names of fields.
type object = map[string]any

func jsonReply(status int, body any) reply {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("codertest: %v", err)) // only this package's own values
	}
	return reply{status: status, header: jsonHeader(), body: string(raw) + "\n"}
}

func jsonHeader() http.Header {
	return http.Header{"Content-Type": {"application/json; charset=utf-8"}}
}

func textReply(status int, text string) reply {
	return reply{status: status, header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, body: text}
}

// refusal is Coder's shape of an error; detail may be empty.
func refusal(status int, message, detail string, validations ...object) reply {
	o := object{"message": message}
	if detail != "" {
		o["detail"] = detail
	}
	if len(validations) > 0 {
		o["validations"] = validations
	}
	return jsonReply(status, o)
}

func validation(field, detail string) object { return object{"field": field, "detail": detail} }

func notFound() reply {
	return refusal(http.StatusNotFound, "Resource not found or you do not have access to this resource", "")
}

func routeNotFound() reply {
	rep := refusal(http.StatusNotFound, "Route not found.", "")
	rep.unexpected = true
	return rep
}

func forbidden() reply {
	return refusal(http.StatusForbidden, "Forbidden.", "You don't have permission to view this content. "+
		"If you believe this is a mistake, please contact your administrator or try signing in with different credentials.")
}

func badJSON(detail string) reply {
	return refusal(http.StatusBadRequest, "Request body must be valid JSON.", detail)
}

func invalid(field, tag, value string) object {
	return validation(field, fmt.Sprintf("Validation failed for tag %q with value: \"%s\"", tag, value))
}

func noContent() reply { return reply{status: http.StatusNoContent} }
