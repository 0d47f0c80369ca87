package store_test

import (
	"errors"
	"strings"
	"testing"

	"coderhook/store"

	"github.com/jackc/pgx/v5/pgconn"
)

// hostilePasswords are such as people paste into a URL without escaping them: each special character at the
// beginning, in the middle and at the end of words that are like a port, a host or neither, and two of them.
func hostilePasswords() (all []string) {
	specials := strings.Split("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \té\x00", "")
	for _, words := range [][2]string{{"Xk9SECRET", "34pwQzWv"}, {"48151623", "42108Qz9"}, {"", "Xk9SECRETpw"}, {"80", "Xk9SECRETpw"}} {
		for _, c := range specials {
			all = append(all, c+words[0]+words[1], words[0]+c+words[1], words[0]+words[1]+c)
			for _, d := range []string{"@", "/", "?", "#", ":", "%40", "&", "="} {
				all = append(all, words[0]+c+words[1]+d, words[0]+d+words[1][:4]+c+words[1][4:], c+d+words[0]+words[1])
			}
		}
	}
	return all
}

// shows returns four characters in a row of the password that stand in text.
func shows(text, password string) string {
	runes := []rune(password)
	for i := range len(runes) - 3 {
		part := string(runes[i : i+4])
		if strings.Contains(text, part) && !strings.Contains(part, "%40") { // which the cure shows
			return part
		}
	}
	return ""
}

func TestNoErrorShowsAPartOfThePassword(t *testing.T) {
	t.Parallel()
	for _, shape := range []string{
		"postgres://coderhook:%s@127.0.0.1:1/x", "postgres://coderhook:%s@127.0.0.1:1/x?sslmode=disable",
		"postgres://coderhook:%s@127.0.0.1:1", "postgresql://:%s@127.0.0.1:1/x", "postgres://%s@127.0.0.1:1/x",
		"postgres://coder.hook:%s@127.0.0.1:1,127.0.0.1:2/x", "postgres:coderhook:%s@127.0.0.1:1/x",
		"postgres:///x?host=127.0.0.1&port=1&user=coderhook&password=%s", "host=127.0.0.1 port=1 user=coderhook password=%s",
	} {
		for _, password := range hostilePasswords() {
			if shape == "postgres://%s@127.0.0.1:1/x" && !strings.ContainsAny(password, "/?#") {
				continue // this is a user's name then, which is no secret
			}
			cfg := store.Config{URL: strings.Replace(shape, "%s", password, 1)}
			err := cfg.CheckURL()
			if err == nil {
				i, connectErr := store.Inspect(t.Context(), cfg)
				if err = connectErr; err == nil {
					_ = i.Close(t.Context())
					t.Fatalf("%q connects", cfg.URL)
				}
			}
			if part := shows(err.Error(), password); part != "" {
				t.Errorf("%q: %q stands in %q", cfg.URL, part, err)
			}
			if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok && shows(parse.ConnString, password) != "" {
				t.Errorf("%q: stands in the driver's error", cfg.URL)
			}
		}
	}
}

func TestURLsThatHoldAnUnescapedPassword(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"postgres://u:/Xk9SECRET34pw@127.0.0.1:5/x":          "percent-encode",
		"postgres://u:48/Xk9SECRET34pw@127.0.0.1:5/x":        "percent-encode",
		"postgres://u:12?Xk9=SECRET34pw@127.0.0.1:5/x":       "percent-encode",
		"postgres://u:12#Xk9SECRET34pw@127.0.0.1:5/x":        "percent-encode",
		"postgres://u:pw@Xk9/SECRET34pw@127.0.0.1:5/x":       "percent-encode",
		"postgres://h/x?user=u&password=SECRET@34":           "percent-encode",
		"postgres://h/x?user=u&password=SECRET;34":           "percent-encode",
		"postgres://u:1234567890":                            "port",
		"postgres://u:pw@h/x#SECRET":                         "percent-encode",
		"postgres:u:pw@h/x":                                  "postgres://",
		"postgres://u:p%40ss@h/d%40b":                        "",
		"postgres://u:p@ss@h/db":                             "",
		"postgres://user@tenant:pw@h:5432/db":                "",
		"postgres://u:pw@h1:5432,h2:5433/db?sslmode=require": "",
		"postgres://u:pw@[::1]:5432/db":                      "",
		"postgres:///db?host=/run/postgresql&user=u":         "",
		"postgres://u:pw@h/db?application_name=a%40b":        "",
	} {
		switch err := (store.Config{URL: url}).CheckURL(); {
		case want == "" && err != nil:
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || shows(err.Error(), "Xk9SECRET34pw") != ""):
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}
