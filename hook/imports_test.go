package hook

import (
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms are the packages below hook, floor by floor, and what each may import of the others.
var rooms = map[string][]string{
	"claims": nil, "cached": nil, "metrics": nil, "pace": nil, "proof": nil, "grant": nil, "quota": nil,

	"webhook": {"claims"},
	"chain":   {"webhook"},
	"policy":  {"claims"},
	"rules":   {"claims", "grant", "metrics"}, // CEL, apart from what is decided without a file
	"lease":   {"pace"},
	"account": {"pace", "metrics"},

	"accesstoken": {"claims", "policy", "cached"},
	"apikey":      {"account", "lease", "grant"},
	"owner":       {"lease", "pace"},

	"provision": {"account", "apikey", "lease", "pace", "metrics"},
	"reconcile": {"account", "apikey", "lease", "pace", "metrics"},

	"rotation": {"provision", "account", "apikey", "pace", "metrics"},

	"keyring": {"rules", "claims", "grant", "rotation", "reconcile", "provision", "apikey", "account", "pace", "metrics"},

	"frontend": {"accesstoken", "cached", "proof"},

	"gateway": {"accesstoken", "webhook", "quota"}, // what it needs besides it asks for by interfaces of its own

	"ahead": {"provision", "policy", "account", "claims", "pace"},

	"authtest": {"webhook"}, // for tests
}

// lobby is what hook itself, which puts the rooms behind one server, may import of them.
var lobby = []string{"webhook", "chain", "policy", "claims", "keyring", "rotation", "provision", "apikey", "account", "metrics", "frontend", "accesstoken", "proof"}

// withEcho are the packages that answer HTTP requests.
var withEcho = []string{".", "frontend", "accesstoken", "gateway"}

// Imports go from the upper floors to the lower ones only, and no room is crowded.
func TestRooms(t *testing.T) {
	t.Parallel()
	dirs := []string{"."}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "testdata" {
			dirs = append(dirs, e.Name())
		}
	}
	for _, dir := range dirs {
		may, known := rooms[dir], dir == "."
		if known {
			may = lobby
		} else if _, known = rooms[dir]; !known {
			t.Errorf("package %s is not in the table", dir)
		}
		files, imports := importsOf(t, dir)
		if files > 12 {
			t.Errorf("package %s has %d files", dir, files)
		}
		for _, path := range slices.Sorted(maps.Keys(imports)) {
			if room, ours := strings.CutPrefix(path, "coderhook/hook/"); ours && !slices.Contains(may, room) {
				t.Errorf("package %s imports %s", dir, room)
			}
			if strings.HasPrefix(path, "github.com/labstack/echo") && !slices.Contains(withEcho, dir) {
				t.Errorf("package %s imports %s", dir, path)
			}
		}
	}
}

// importsOf counts a folder's files without its tests, and tells what they import.
func importsOf(t *testing.T, dir string) (files int, imports map[string]bool) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	imports = make(map[string]bool)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		files++
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			imports[path] = true
		}
	}
	return files, imports
}
