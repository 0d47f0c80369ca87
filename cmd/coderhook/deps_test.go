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
		ofCEL := dep == "google.golang.org/genproto/googleapis/api/expr/v1alpha1" || dep == "google.golang.org/genproto/googleapis/rpc/status"
		if strings.HasPrefix(dep, "google.golang.org/grpc/") || strings.HasPrefix(dep, "google.golang.org/genproto/") && !ofCEL {
			t.Errorf("%s is linked, and nothing here speaks gRPC: see collector in cmd/internal/serve", dep)
		}
	}
}

// A dependency that nobody can say what it is for is one that nobody dares to remove.
func TestEachDependencySaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(contentOf(t, "../../go.mod")) {
		module, comment, _ := strings.Cut(strings.TrimSpace(line), " //")
		if strings.HasPrefix(line, "\t") && strings.TrimSpace(comment) == "" {
			t.Errorf("go.mod does not say what %s is for", module)
		}
	}
}

// A lock file that names a registry's host installs from nowhere else.
func TestLockFilesNameNoHost(t *testing.T) {
	t.Parallel()
	for _, project := range []string{"bench", "client", "supabase"} {
		dir := "../../testdata/" + project
		if strings.Contains(contentOf(t, dir+"/package-lock.json"), `"resolved"`) || !strings.Contains(contentOf(t, dir+"/.npmrc"), "omit-lockfile-registry-resolved=true") {
			t.Errorf("%s says where its packages are to be fetched", dir)
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
