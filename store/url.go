package store

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// databaseURL is a URL with its query at hand.
type databaseURL struct {
	*url.URL
	query url.Values
}

// What is wrong with a URL is said without any part of it: where a password is not escaped, any part may be the password's.
var (
	errMalformedURL = errors.New("database URL is malformed; percent-encode special characters in the password (/ is %2F, @ is %40, ? is %3F, # is %23)")
	errNotPostgres  = errors.New("database URL does not start with postgres://; write it like postgres://USER:PASSWORD@HOST:5432/DATABASE")
	errPort         = errors.New("database URL has a port that is not a number from 1 to 65535; percent-encode special characters in the password, and name the host behind an @")
)

// splitURL parses the URL and takes the password out, so that no error of the
// driver can show it. Its own errors show nothing of the URL.
func (c Config) splitURL() (databaseURL, string, error) {
	if c.URL == "" {
		return databaseURL{}, "", errors.New("database URL is missing")
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return databaseURL{}, "", errMalformedURL
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" {
		return databaseURL{}, "", errNotPostgres
	}
	if strayAt(c.URL) {
		return databaseURL{}, "", errMalformedURL
	}
	if !portsAreNumbers(u.Host) {
		return databaseURL{}, "", errPort
	}
	query, err := parseParameters(u.RawQuery)
	if err != nil {
		return databaseURL{}, "", err
	}
	password := query.Get("password")
	query.Del("password")
	if p, ok := u.User.Password(); ok {
		password = p
		u.User = url.User(u.User.Username())
	}
	split := databaseURL{u, query}
	split.encode()
	return split, password, nil
}

// strayAt reports whether an @ stands behind the first character that ends user, password and host, or
// a fragment is there, of which Postgres knows nothing: that character is then the password's.
func strayAt(text string) bool {
	_, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest, "/?#")
	return end >= 0 && strings.Contains(rest[end:], "@") || strings.Contains(rest, "#")
}

// portsAreNumbers looks at each host of several. The driver's error would show a port that is none.
func portsAreNumbers(hosts string) bool {
	for host := range strings.SplitSeq(hosts, ",") {
		_, port, _ := strings.Cut(host[strings.LastIndex(host, "]")+1:], ":")
		if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
			return false
		}
	}
	return true
}

// parameterName is what parameters are called. Beside a password, something else is the rest of it behind an &.
var parameterName = regexp.MustCompile(`^[a-z_.]+=`)

// parseParameters takes a plus for what it is, as Postgres does.
func parseParameters(raw string) (url.Values, error) {
	query, err := url.ParseQuery(strings.ReplaceAll(raw, "+", "%2B"))
	if err != nil {
		return nil, errMalformedURL
	}
	if query.Has("password") {
		for parameter := range strings.SplitSeq(raw, "&") {
			if !parameterName.MatchString(parameter) {
				return nil, errMalformedURL
			}
		}
	}
	return query, nil
}

// encode writes the query back.
func (u databaseURL) encode() { u.RawQuery = strings.ReplaceAll(u.query.Encode(), "+", "%20") }

func (u databaseURL) has(name string) bool { return u.query.Has(name) }

// takeFlag removes a parameter that is not Postgres's, and reports whether it was true.
func (u databaseURL) takeFlag(name string) bool {
	on := u.query.Get(name) == "true" || u.query.Get(name) == "1"
	u.query.Del(name)
	u.encode()
	return on
}
