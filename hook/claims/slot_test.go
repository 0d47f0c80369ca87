package claims_test

import (
	"encoding/json"
	"strings"
	"testing"

	"coderhook/hook/claims"

	"github.com/google/go-cmp/cmp"
)

func TestSpliceTouchesOnlyOurMember(t *testing.T) {
	t.Parallel()
	const set = `"api_key":"K"`
	for name, test := range map[string]struct{ in, want string }{
		"absent":              {`{"sub":"a"}`, `{"sub":"a","app_metadata":{` + set + `}}`},
		"null":                {`{"app_metadata":null,"sub":"a"}`, `{"app_metadata":{` + set + `},"sub":"a"}`},
		"empty":               {`{"app_metadata":{}}`, `{"app_metadata":{` + set + `}}`},
		"empty with blanks":   {`{"app_metadata": { } }`, `{"app_metadata": {` + set + ` } }`},
		"other members":       {`{"app_metadata":{"plan":"team" }}`, `{"app_metadata":{"plan":"team",` + set + ` }}`},
		"old key":             {`{"app_metadata":{"a":1,"api_key":"old","b":2}}`, `{"app_metadata":{"a":1,` + set + `,"b":2}}`},
		"old key alone":       {`{"app_metadata":{ "api_key" : null }}`, `{"app_metadata":{ ` + set + ` }}`},
		"old key, other type": {`{"app_metadata":{"api_key":{"api_key":[1]}}}`, `{"app_metadata":{` + set + `}}`},
		"old key twice":       {`{"app_metadata":{"api_key":"x","a":1, "api_key":"y"}}`, `{"app_metadata":{` + set + `,"a":1}}`},
		"old key, thrice":     {`{"app_metadata":{"api_key":1,"api_key":2,"api_key":3}}`, `{"app_metadata":{` + set + `}}`},
		"old key and status":  {`{"app_metadata":{"api_key_status":"pending","api_key":"y","z":0}}`, `{"app_metadata":{` + set + `,"z":0}}`},
		"escaped names":       {`{"app\u005fmetadata":{"api\u005fkey":"old"}}`, `{"app\u005fmetadata":{` + set + `}}`},
		"duplicate metadata":  {`{"app_metadata":{"api_key":"x"},"app_metadata":{"a":1}}`, `{"app_metadata":{"api_key":"x"},"app_metadata":{"a":1,` + set + `}}`},
		"look-alikes inside":  {`{"user_metadata":{"app_metadata":{"api_key":"u"}},"app_metadata":{"n":{"api_key":"v"}}}`, `{"user_metadata":{"app_metadata":{"api_key":"u"}},"app_metadata":{"n":{"api_key":"v"},` + set + `}}`},
		"numbers":             {`{"n":1e400,"b":12345678901234567890,"f":0.1000,"z":-0,"e":1E+2,"app_metadata":{"big":1e400}}`, `{"n":1e400,"b":12345678901234567890,"f":0.1000,"z":-0,"e":1E+2,"app_metadata":{"big":1e400,` + set + `}}`},
		"strings":             {`{"s":"\ud83d\ude00 \u2028 <&> \u003cb\u003e {}","app_metadata":{}}`, `{"s":"\ud83d\ude00 \u2028 <&> \u003cb\u003e {}","app_metadata":{` + set + `}}`},
		"lone surrogate":      {`{"s":"\ud800","app_metadata":{"\udfff":1}}`, `{"s":"\ud800","app_metadata":{"\udfff":1,` + set + `}}`},
		"broken UTF-8":        {"{\"s\":\"\xff\",\"app_metadata\":{}}", "{\"s\":\"\xff\",\"app_metadata\":{" + set + "}}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slot, err := claims.FindSlot([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			got := string(slot.Set(nil, []byte(test.in), claims.KeyMember, "K"))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !strings.Contains(name, "numbers") && !json.Valid([]byte(got)) {
				t.Error("not JSON any more")
			}
		})
	}
}

func TestSpliceRefusesWhatIsNoObject(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		`{"app_metadata":[]}`, `{"app_metadata":"x"}`, `{"app_metadata":1}`, `{"app_metadata":true}`,
		`{"app_metadata":{}`, `{"app_metadata":{"a"}}`, `{}`, ``, `{"a":1,}`,
	} {
		if slot, err := claims.FindSlot([]byte(in)); err == nil {
			t.Errorf("%s: accepted as %+v", in, slot)
		}
	}
}

// A stored key must not pass where we have none to give: the status takes its place.
func TestSpliceStatusReplacesStaleKey(t *testing.T) {
	t.Parallel()
	in := `{"app_metadata":{"api_key":"stale","a":1,"api_key_status":"conflict"}}`
	slot, err := claims.FindSlot([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"app_metadata":{"api_key_status":"pending","a":1}}`
	if got := string(slot.Set(nil, []byte(in), claims.StatusMember, "pending")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSpliceQuotesTheKey(t *testing.T) {
	t.Parallel()
	in := `{"app_metadata":{}}`
	slot, err := claims.FindSlot([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Metadata map[string]string `json:"app_metadata"`
	}
	const odd = "a\"b\\c\n</script>"
	if err := json.Unmarshal(slot.Set(nil, []byte(in), claims.KeyMember, odd), &got); err != nil {
		t.Fatal(err)
	}
	if got.Metadata["api_key"] != odd {
		t.Errorf("got %q, want %q", got.Metadata["api_key"], odd)
	}
}
