package doctor

import "fmt"

// coderVersion is a release of Coder; zero when it could not be read.
type coderVersion struct{ major, minor, patch int }

func parseCoderVersion(text string) (v coderVersion) {
	if n, _ := fmt.Sscanf(text, "v%d.%d.%d", &v.major, &v.minor, &v.patch); n < 3 {
		return coderVersion{}
	}
	return v
}

func (v coderVersion) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

// refusesNone reports whether new users need another login type than none, without a licence for service accounts.
func (v coderVersion) refusesNone() bool { return v.atLeast(2, 36) }

// fixedExpiry reports whether the end of a token stays where it is when it is used. That was brought to older series as well.
func (v coderVersion) fixedExpiry() bool {
	since := map[int]int{29: 18, 32: 8, 33: 9, 34: 3} // minor → patch
	patch, ok := since[v.minor]
	return v.atLeast(2, 35) || v.major == 2 && ok && v.patch >= patch
}

// implies says what the version means for users and keys.
func (v coderVersion) implies() string {
	if v == (coderVersion{}) {
		return "a version that is not known here"
	}
	login, expiry, caps := "new users have the login type none", "every use of a key moves its end", "keys live for 30 days by default"
	if v.refusesNone() {
		login = "new users have a password that nobody knows, as login type none is refused"
	}
	if v.fixedExpiry() {
		expiry = "a key's end is fixed"
	}
	if v.atLeast(2, 16) {
		caps = "keys live for 7 days by default"
	}
	if v.atLeast(2, 24) {
		caps += ", those of owners for 7 days at most"
	}
	return login + "; " + expiry + "; " + caps
}
