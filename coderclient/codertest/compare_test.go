package codertest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// Headers to be compared, and those that every answer has.
var (
	meaningful = []string{
		"Content-Type", "Location", "Allow", "Retry-After", "Www-Authenticate", "X-Ratelimit-Limit",
	}
	always = []string{"X-Coder-Build-Version", "X-Coder-Request-Id", "Set-Cookie"}
)

// compareAnswers lists the differences in status, headers, fields and values. Values that cannot be equal, such as
// ids, keys, times and ports, only have to be of the same kind.
func compareAnswers(x exchange, resp *http.Response, answer any) []string {
	var faults []string
	if resp.StatusCode != x.Status {
		got, _ := json.Marshal(answer)
		return []string{fmt.Sprintf("status %d, want %d: %.300s", resp.StatusCode, x.Status, got)}
	}
	for _, name := range meaningful {
		want := x.AnswerHeader[name]
		if got := resp.Header.Get(name); normal(got) != normal(want) {
			faults = append(faults, fmt.Sprintf("header %s: %s\n\t\twant %s", name, normal(got), normal(want)))
		}
	}
	for _, name := range always {
		if resp.Header.Get(name) == "" {
			faults = append(faults, "header "+name+" is missing")
		}
	}
	return append(faults, compare("", x.Answer, answer)...)
}

func compare(at string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			return differ(at, want, got)
		}
		return compareObjects(at, want, got)
	case []any:
		got, ok := got.([]any)
		if !ok || (len(got) == 0) != (len(want) == 0) {
			return differ(at, want, got)
		}
		return compareLists(at, want, got)
	case string:
		if got, ok := got.(string); !ok || normal(got) != normal(want) {
			return differ(at, normal(want), normal(fmt.Sprint(got)))
		}
	default:
		if want != got {
			return differ(at, want, got)
		}
	}
	return nil
}

func differ(at string, want, got any) []string {
	return []string{fmt.Sprintf("%s: %v\n\t\twant %v", cmp.Or(at, "body"), got, want)}
}

// ignored are values that say more about the recorded server than about its version.
var ignored = []string{"count", "telemetry", "webpush_public_key"}

func compareObjects(at string, want, got map[string]any) []string {
	wantFields, gotFields := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))
	if !slices.Equal(wantFields, gotFields) {
		return differ(at+" fields", wantFields, gotFields)
	}
	faults := compareLifetimes(at, want, got)
	for _, field := range wantFields {
		if !slices.Contains(ignored, field) {
			faults = append(faults, compare(at+"."+field, want[field], got[field])...)
		}
	}
	return faults
}

// compareLists compares the fields of objects only: a recorded list holds, in full or cut, what its server held. Lists
// of texts and of objects without an id are compared in full.
func compareLists(at string, want, got []any) []string {
	if len(want) == 0 {
		return nil
	}
	first, _ := want[0].(map[string]any)
	if first["id"] == nil {
		if len(want) != len(got) {
			return differ(at, want, got)
		}
		var faults []string
		for i := range want {
			faults = append(faults, compare(fmt.Sprintf("%s[%d]", at, i), want[i], got[i])...)
		}
		return faults
	}
	for _, item := range got {
		item, _ := item.(map[string]any)
		wantFields, gotFields := requiredFields(first), requiredFields(item)
		if !slices.Equal(wantFields, gotFields) {
			return differ(at+"[] fields", wantFields, gotFields)
		}
	}
	return nil
}

// requiredFields leaves out the one that newer versions omit when it is empty.
func requiredFields(o map[string]any) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(o)), func(field string) bool { return field == "name" })
}

// compareLifetimes tells a sliding expiry from a fixed one.
func compareLifetimes(at string, want, got map[string]any) []string {
	if wantDays, gotDays := lifetimeDays(want), lifetimeDays(got); wantDays != gotDays {
		return differ(at+" days from created_at to expires_at", wantDays, gotDays)
	}
	return nil
}

func lifetimeDays(o map[string]any) float64 {
	created, err1 := time.Parse(time.RFC3339Nano, fmt.Sprint(o["created_at"]))
	expires, err2 := time.Parse(time.RFC3339Nano, fmt.Sprint(o["expires_at"]))
	if err1 != nil || err2 != nil {
		return 0
	}
	return math.Round(expires.Sub(created).Hours() / 24)
}

var (
	wholeKey = regexp.MustCompile(`^[A-Za-z0-9]{10}-[A-Za-z0-9]{22}$`)
	varying  = []struct {
		pattern *regexp.Regexp
		kind    string
	}{
		{wholeKey, "KEY"},
		{regexp.MustCompile(`^[A-Za-z0-9]{10}$`), "KEYID"},
		{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
		{regexp.MustCompile(`20\d\d-\d\d-\d\d[T ][0-9:.]+(Z| \+0000 UTC)`), "TIME"},
		{regexp.MustCompile(`(:|%3A|%253A)\d{4,5}\b`), "${1}PORT"},
		{regexp.MustCompile(`(coder_application_connect_api_key_35e783=)[A-Za-z0-9._-]+`), "${1}ENCRYPTED"},
		{regexp.MustCompile(`^(s30|s1999)-\d+$`), "$1"},
		{regexp.MustCompile(`^[a-z]+_[a-z]+\d\w?$`), "INVENTED"},
	}
)

func normal(text string) string {
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.kind)
	}
	return text
}
