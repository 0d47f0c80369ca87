package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/sender"
	"coderhook/store/storetest"
)

// command runs the program with these variables, and returns what it printed.
func command(t *testing.T, variables map[string]string, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := run(t.Context(), args, func(name string) string { return variables[name] }, &out, &out)
	if shown := out.String(); string(sender.Mask([]byte(shown))) != shown {
		t.Errorf("%v shows a whole key", args)
	}
	return out.String(), err
}

func TestSend(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	p := cmdtest.Start(t, db, coder)
	user := db.AddUser(t, "ada@example.com").String()
	secrets := map[string]string{config.SecretsVariable: cmdtest.Secret}

	out, err := command(t, secrets, "send", "--url", p.URL, "--user", user, "--email", "ada@example.com")
	if err != nil || !strings.Contains(out, "status 200 in ") || !regexp.MustCompile(`\+     "api_key": "\w{10}-\*{10}"`).MatchString(out) {
		t.Errorf("made-up event: %s%v", out, err)
	}
	recordings, err := filepath.Glob("../../testdata/hook/*.json")
	if err != nil || len(recordings) == 0 {
		t.Fatalf("no recordings (%v)", err)
	}
	for _, file := range recordings {
		out, err := command(t, secrets, "send", "--url", p.URL, "--user", user, "--email", "ada@example.com", "--recorded", file)
		want := `+     "api_key": "`
		if regexp.MustCompile(`anonymous|third-party`).MatchString(file) {
			want = "came back as they were sent"
		} else if strings.Contains(file, "phone-only") {
			want = `+     "api_key_status": "not_eligible"`
		}
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %s%v", file, out, err)
		}
	}
}

func TestSendSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	p := cmdtest.Start(t, db, coder)
	user := db.AddUser(t, "ada@example.com").String()
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`{"claims":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{config.SecretsVariable: cmdtest.Secret}
	other := map[string]string{config.SecretsVariable: "v1,whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="}
	for name, test := range map[string]struct {
		variables map[string]string
		args      []string
		want      string
	}{
		"wrong secret": {other, []string{"--url", p.URL, "--user", user}, "no matching signature"},
		"no secret":    {nil, []string{"--url", p.URL, "--user", user}, config.SecretsVariable + ": is missing; set it to the secrets that the server has"},
		"bad secret":   {map[string]string{config.SecretsVariable: "x"}, []string{"--url", p.URL, "--user", user}, "must look like"},
		"no path":      {secrets, []string{"--url", strings.TrimSuffix(p.URL, "/hooks/custom-access-token"), "--user", user}, "404"},
		"no server":    {secrets, []string{"--url", "http://127.0.0.1:1/", "--user", user}, "did not answer"},
		"bad user":     {secrets, []string{"--url", p.URL, "--user", "ada"}, `--user "ada" is not a UUID`},
		"bad URL":      {secrets, []string{"--url", "127.0.0.1:8787", "--user", user}, "--url: is not a URL with http:// or https://"},
		"bad file":     {secrets, []string{"--url", p.URL, "--user", user, "--recorded", broken}, "broken.json: claims is not an object"},
		"no file":      {secrets, []string{"--url", p.URL, "--user", user, "--recorded", "/none"}, "--recorded"},
	} {
		out, err := command(t, test.variables, append([]string{"send"}, test.args...)...)
		if err == nil || !strings.Contains(out+err.Error(), test.want) {
			t.Errorf("%s: %s%v, want %q", name, out, err, test.want)
		}
	}
}

func TestSendCallsAsAContainer(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	p := cmdtest.Start(t, db, coder)
	user := db.AddUser(t, "ada@example.com").String()
	url := strings.Replace(p.URL, "127.0.0.1", "host.docker.internal", 1)
	// It waits five seconds, as Supabase Auth does, which is not long on a busy machine.
	cmdtest.Eventually(t, "it is answered", func() bool {
		out, err := command(t, map[string]string{config.SecretsVariable: cmdtest.Secret}, "send", "--url", url, "--user", user)
		if err != nil && !strings.Contains(err.Error(), "deadline exceeded") {
			t.Fatalf("%s%v", out, err)
		}
		return err == nil
	})
}
