package frontend

import (
	"strings"
	"testing"
)

const page = "https://app.example.com"

func TestOriginsAreChecked(t *testing.T) {
	t.Parallel()
	for _, good := range []CORS{
		{},
		{Credentials: true},
		{Origins: []string{"*"}},
		{Origins: []string{page, "http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:3000"}, Credentials: true},
	} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for want, bad := range map[string]CORS{
		`together with credentials`:                                  {Origins: []string{"*"}, Credentials: true},
		`beside other origins`:                                       {Origins: []string{page, "*"}},
		`"https://a.b/" is not an origin`:                            {Origins: []string{"https://a.b/"}},
		`"https://a.b/x" is not an origin`:                           {Origins: []string{"https://a.b/x"}},
		`"a.b" is not an origin`:                                     {Origins: []string{"a.b"}},
		`"null" is not an origin`:                                    {Origins: []string{"null"}},
		`"https://*.*.a.b" is not`:                                   {Origins: []string{"https://*.*.a.b"}},
		`"https://a.*.b" is not`:                                     {Origins: []string{"https://a.*.b"}},
		`"https://*a.b" is not`:                                      {Origins: []string{"https://*a.b"}},
		`"https://*" is not`:                                         {Origins: []string{"https://*"}},
		`write https://a.b`:                                          {Origins: []string{"https://a.b:443"}},
		`write it without a path or a slash at the end: https://a.b`: {Origins: []string{"HTTPS://A.b:443/"}},
		`under vercel.app act`:                                       {Origins: []string{"https://*.vercel.app"}, Credentials: true},
		`"https://a?b" is not an origin`:                             {Origins: []string{"https://a?b"}},
		`"HTTPS://a.b" is not an origin`:                             {Origins: []string{"HTTPS://a.b"}},
		`"https://A.b" is not an origin`:                             {Origins: []string{"https://A.b"}},
		`"https://u@a.b" is not an origin`:                           {Origins: []string{"https://u@a.b"}},
		`"ftp://a.b" is not an origin`:                               {Origins: []string{"ftp://a.b"}},
		`"https://:8443" is not an origin`:                           {Origins: []string{"https://:8443"}},
		`"https://a.b#x" is not an origin`:                           {Origins: []string{"https://a.b#x"}},
		`"chrome://a.b" is not an origin`:                            {Origins: []string{"chrome://a.b"}},
		`"https://a%2eb" is not an origin`:                           {Origins: []string{"https://a%2eb"}},
		`"//a.b" is not an origin`:                                   {Origins: []string{"//a.b"}},
		`"" is not an origin`:                                        {Origins: []string{""}},
		`"https://a.b?x" is not an origin`:                           {Origins: []string{"https://a.b?x"}},
		`"https://a.b\\c" is not an origin`:                          {Origins: []string{`https://a.b\c`}},
	} {
		if err := bad.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", bad, err, want)
		}
	}
}

func TestOriginsAreWrittenAsBrowsersSendThem(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"https://app.example.com:443":                         "https://app.example.com",
		"http://app.example.com:80":                           "http://app.example.com",
		"http://app.example.com:443":                          "http://app.example.com:443",
		"HTTPS://App.Example.COM":                             "https://app.example.com",
		"https://bücher.example":                              "https://xn--bcher-kva.example",
		"https://BÜCHER.example:8443":                         "https://xn--bcher-kva.example:8443",
		"https://straße.example":                              "https://xn--strae-oqa.example",
		"http://[0:0:0:0:0:0:0:1]:3000":                       "http://[::1]:3000",
		"http://my_app.local":                                 "http://my_app.local",
		"capacitor://localhost":                               "capacitor://localhost",
		"ionic://localhost":                                   "ionic://localhost",
		"https://*.Preview.example.com":                       "https://*.preview.example.com",
		"https://*.bücher.example:443":                        "https://*.xn--bcher-kva.example",
		"http://*.localhost:5173":                             "http://*.localhost:5173",
		"*":                                                   "*",
		"chrome-extension://abcdefghijklmnopabcdefghijklmnop": "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
	} {
		c := CORS{Origins: NormalOrigins([]string{written})}
		if err := c.Check(); err != nil || c.Origins[0] != want || len(c.Warnings()) > 0 {
			t.Errorf("%s: %q, %v, %q", written, c.Origins, err, c.Warnings())
		}
	}
	for _, bad := range []string{
		"https://app.example.com.", "https://.example.com", "https://a..b", "https://a b", "https://\u202eapp.example.com", "javascript://a", "data://x",
		"file://localhost", "null", "capacitor://localhost:80", "capacitor://localhost/x", "capacitor://", "https://xn--\u00e4.example\x00", "https://user@app.example.com", "https://a,b",
	} {
		c := CORS{Origins: NormalOrigins([]string{bad})}
		if err := c.Check(); err == nil {
			t.Errorf("%q is an origin: %q", bad, c.Origins)
		}
	}
	for _, across := range []string{"https://*.com", "https://*.co.uk", "https://*.vercel.app", "https://*.github.io:8443"} {
		c := CORS{Origins: NormalOrigins([]string{across})}
		if err := c.Check(); err != nil || len(c.Warnings()) != 1 || !strings.Contains(c.Warnings()[0], "public suffix") {
			t.Errorf("%s: %v, %q", across, err, c.Warnings())
		}
	}
}

func TestHeadersOfPagesAreChecked(t *testing.T) {
	t.Parallel()
	if err := (CORS{Headers: []string{"sentry-trace", "baggage", "traceparent"}}).CheckHeaders(); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"*", "a b", "a:b", "x\r\nSet-Cookie", ""} {
		if err := (CORS{Headers: []string{bad}}).CheckHeaders(); err == nil {
			t.Errorf("%q is a header", bad)
		}
	}
}
