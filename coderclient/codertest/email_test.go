package codertest

import (
	"strings"
	"testing"
)

// What Coder 2.36.0 took and refused of these addresses, the fake does.
func TestAddressesAsCoderTakesThem(t *testing.T) {
	t.Parallel()
	for address, taken := range map[string]bool{
		"ada+tag@example.com": true, "ADA.Upper@EXAMPLE.com": true, "o'brien@example.com": true, "a`b@example.com": true,
		"a{b}|c~d@example.com": true, "a%b@example.com": true, `"quoted"@example.com`: true, `"quo ted"@example.com`: true,
		strings.Repeat("a", 64) + "@" + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 57) + ".com": true, // 254 characters
		strings.Repeat("a", 200) + "@example.com": true, "a@" + strings.Repeat("b", 64) + ".com": true,
		"ü@example.com": true, "ada@exämple.com": true, "ada@xn--exmple-cua.com": true, "用户@例子.公司": true, "a\u00a0b@example.com": true,
		"ada@example.c": true, "ada@example.c0m": true, "ada@sub.example.co.uk": true, "ada@exa~mple.com": true,

		"ada@localhost": false, "ada@example": false, "ada@1": false, "ada@[127.0.0.1]": false, "ada@123.456": false, "ada@example.123": false,
		"ada..dot@example.com": false, ".ada@example.com": false, "ada.@example.com": false, "ada@example..com": false, "ada@example.com.": false,
		"ada@-example.com": false, "ada@example-.com": false, "ada@exa_mple.com": false, "ada @example.com": false, "ada😀@example.com": false,
		"Ada <ada@example.com>": false, "ada@example.com\n": false, "": false, "ada": false,
	} {
		if validEmail(address) != taken {
			t.Errorf("%q: %v", address, !taken)
		}
	}
}
