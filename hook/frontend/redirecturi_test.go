package frontend

import "testing"

func TestIsApp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		uri, host string
		want      bool
	}{
		{"https://x.apps.example.com/", "*.apps.example.com", true},
		{"https://x.apps.example.com:443/", "*.apps.example.com", true},
		{"http://x.apps.example.com:80/", "*.Apps.example.com", true},
		{"https://x.apps.example.com:8080/", "*.apps.example.com", false},
		{"https://x--apps.example.com/", "*--apps.example.com", true},
		{"https://y.x--apps.example.com/", "*--apps.example.com", false},
		{"https://--apps.example.com/", "*--apps.example.com", false},
		{"https://x-apps.example.com/", "*--apps.example.com", false},
		{"https://x.localhost:3001/", "*.localhost:3001", true},
		{"https://x.apps.example.com/", "", false},
		{"https://x.apps.example.com/", "*", false},
		{"https://x.apps.example.com/", "*.", false},
		{"https://x.apps.example.com/", "x.apps.example.com", false},
	} {
		u, err := parseAppURI(test.uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := isApp(u, test.host); got != test.want {
			t.Errorf("%s under %q: %v", test.uri, test.host, got)
		}
	}
}
