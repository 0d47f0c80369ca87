package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// What is for tests must not be reachable in the program that stands in a login path.
func TestNothingForTestsIsLinked(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		if dep == "testing" || strings.HasPrefix(dep, "testing/") || strings.Contains(dep, "codertest") ||
			strings.Contains(dep, "storetest") || strings.Contains(dep, "embedded-postgres") {
			t.Errorf("%s is linked", dep)
		}
	}
}

// Imports go one way: cmd → hook → store and coderclient, which never meet.
func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, "coderhook/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	only := map[string]string{ // import → the only folder that may have it
		"github.com/jackc/pgx/v5": "coderhook/store", "coderhook/hook": "coderhook/cmd/",
	}
	routes := []string{"coderhook/hook", "coderhook/hook/frontend", "coderhook/hook/accesstoken", "coderhook/hook/gateway"}
	for line := range strings.Lines(string(out)) {
		from, imports, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(from, "coderhook/cmd/internal/bench") {
			continue // it plays Supabase Auth at the database, and a server with nothing but the driver
		}
		for name := range strings.FieldsSeq(imports) {
			if folder, ok := only[name]; ok && !strings.HasPrefix(from, folder) {
				t.Errorf("%s imports %s", from, name)
			}
			if strings.HasPrefix(name, "github.com/labstack/echo/") && !slices.Contains(routes, from) {
				t.Errorf("%s imports %s", from, name)
			}
			leaf := strings.HasPrefix(from, "coderhook/store") || strings.HasPrefix(from, "coderhook/coderclient")
			sibling := strings.Split(strings.TrimPrefix(from, "coderhook/"), "/")[0]
			if leaf && strings.HasPrefix(name, "coderhook/") && !strings.HasPrefix(name, "coderhook/"+sibling) {
				t.Errorf("%s imports %s", from, name)
			}
		}
	}
}

// The environment is read in one place, which says what is wrong with it.
func TestOnlyConfigReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", "-f", `{{$dir := .Dir}}{{$path := .ImportPath}}{{range .GoFiles}}{{$path}} {{$dir}}/{{.}}{{"\n"}}{{end}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		pkg, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(pkg, "coderhook/") || pkg == "coderhook/cmd/internal/config" {
			continue
		}
		if text := contentOf(t, file); strings.Contains(text, "os.Getenv") || strings.Contains(text, "os.LookupEnv") || strings.Contains(text, "os.Environ") {
			t.Errorf("%s reads the environment", file)
		}
	}
}
