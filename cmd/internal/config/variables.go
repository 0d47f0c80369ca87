package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// variables reads the environment and collects the faults. Each names its variable and the cure; none shows a secret.
type variables struct {
	get    func(string) string
	faults []error
}

// fault adds a fault, unless it is known: some variables are read twice.
func (v *variables) fault(name, format string, args ...any) {
	fault := fmt.Errorf("%s: "+format, append([]any{name}, args...)...)
	if !slices.ContainsFunc(v.faults, func(known error) bool { return known.Error() == fault.Error() }) {
		v.faults = append(v.faults, fault)
	}
}

// byteOrderMark is what some editors put before a text.
const byteOrderMark = "\ufeff"

// value returns a variable, as it was meant.
func (v *variables) value(name string) string { return v.bare(name, v.get(name)) }

// bare takes away what an editor or docker --env-file left around a value, and calls it a fault: elsewhere
// it would be a part of the value.
func (v *variables) bare(name, text string) string {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		v.fault(name, "is UTF-16; save it as UTF-8")
		return ""
	}
	value := strings.TrimSpace(text)
	if unmarked := strings.Trim(value, byteOrderMark); unmarked != value {
		v.fault(name, "has a byte order mark (U+FEFF); save it as UTF-8 without one")
		value = strings.TrimSpace(unmarked)
	}
	if last := len(value) - 1; last > 0 && value[0] == value[last] && (value[0] == '"' || value[0] == '\'') {
		v.fault(name, "is in quotes (%c…%c), which docker --env-file keeps and files of secrets have none of; write it without quotes", value[0], value[0])
		value = strings.TrimSpace(value[1:last])
	}
	return value
}

// text returns a variable or its default.
func (v *variables) text(name, fallback string) string {
	if value := v.value(name); value != "" {
		return value
	}
	return fallback
}

// oneOf returns a variable that has only these values, the first being the default.
func (v *variables) oneOf(name string, values ...string) string {
	value := v.text(name, values[0])
	for _, known := range values {
		if value == known {
			return value
		}
	}
	v.fault(name, "%q is not known; set one of %s", value, strings.Join(values, ", "))
	return values[0]
}

// secret returns a variable, or what the file holds that NAME_FILE names.
func (v *variables) secret(name string) string {
	value, file := v.value(name), v.value(name+"_FILE")
	switch {
	case value != "" && file != "":
		v.fault(name, "set together with %s_FILE; set only one of them", name)
		return ""
	case file == "":
		return value
	}
	content, err := os.ReadFile(file)
	if err != nil {
		v.fault(name+"_FILE", "the file can't be read: %w", Pathless(err))
		return ""
	}
	known := len(v.faults)
	value = v.bare(name+"_FILE", string(content))
	if value == "" && len(v.faults) == known {
		v.fault(name+"_FILE", "the file is empty; write the secret into it")
	}
	return value
}

// required returns a secret without which nothing works.
func (v *variables) required(name, cure string) string {
	known := len(v.faults)
	value := v.secret(name)
	if value == "" && len(v.faults) == known {
		v.fault(name, "is missing; %s (or set %s_FILE)", cure, name)
	}
	return value
}

// duration returns one that is at least the given minimum; zero is only taken where the minimum is zero.
func (v *variables) duration(name string, fallback, minimum time.Duration) time.Duration {
	text := v.text(name, fallback.String())
	value, err := time.ParseDuration(text)
	switch {
	case err != nil:
		v.fault(name, "%q is not a duration; write it like 2.5s, 10m or 720h", text)
	case value < minimum:
		v.fault(name, "%s is too short; set at least %s", value, minimum)
	default:
		return value
	}
	return fallback
}

// count returns a number from 1 to highest.
func (v *variables) count(name string, fallback, highest int) int {
	text := v.text(name, strconv.Itoa(fallback))
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 || value > highest {
		v.fault(name, "%q is not a number from 1 to %d", text, highest)
		return fallback
	}
	return value
}

// port returns where to listen. Only a number will do: names of ports differ between machines.
func (v *variables) port(name, fallback string) string {
	value := v.text(name, fallback)
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		v.fault(name, "%q is not an address to listen at; write it like %s or 0.0.0.0:9000", value, fallback)
		return fallback
	}
	return value
}

// address checks and returns a URL that has one of the given schemes.
func (v *variables) address(name, value string, schemes ...string) string {
	if value == "" {
		return ""
	}
	want := strings.Join(schemes, ":// or ") + "://"
	u, err := url.Parse(value)
	if err != nil { // its text would hold the whole URL, with its password
		v.fault(name, "is not a URL; write it with %s, and %%-escape special characters in a password", want)
		return ""
	}
	for _, scheme := range schemes {
		if u.Scheme == scheme && (u.Host != "" || u.Query().Get("host") != "") {
			return value
		}
	}
	v.fault(name, "is not a URL with %s and a host", want)
	return ""
}

// list returns the values of a variable, separated by commas or blanks.
func (v *variables) list(name string) []string {
	return strings.FieldsFunc(v.value(name), func(r rune) bool { return r == ',' || r == ' ' })
}

func (v *variables) err() error { return errors.Join(v.faults...) }
