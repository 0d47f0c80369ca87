package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"coderhook/cmd/internal/config"
)

func readme(t *testing.T) string { return projectFile(t, "README.md") }

func projectFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The table of variables is neither short of one nor ahead of the program.
func TestReadmeHasEveryVariable(t *testing.T) {
	t.Parallel()
	asked := make(map[string]bool)
	_, _ = config.Read(func(name string) string { // the faults do not matter
		asked[name] = true
		return ""
	})
	maps.DeleteFunc(asked, func(name string, _ bool) bool { // the secrets' other form
		base, isFile := strings.CutSuffix(name, "_FILE")
		return isFile && asked[base]
	})
	listed := make(map[string]bool)
	_, table, _ := strings.Cut(readme(t), "## Variables")
	table, _, _ = strings.Cut(table, "\n## ")
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, "|"); len(cells) > 3 {
			for _, name := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				listed[name[1]] = true
			}
		}
	}
	if want, got := slices.Sorted(maps.Keys(asked)), slices.Sorted(maps.Keys(listed)); !slices.Equal(want, got) {
		t.Errorf("the program reads\n%v\nand README lists\n%v", want, got)
	}
}

// Every command in these texts is run by CI or by a test, which this names.
func TestReadmeCommandsAreRun(t *testing.T) {
	t.Parallel()
	const (
		migrate = `DATABASE_URL="$ADMIN_DATABASE_URL" go run ./cmd/coderhook migrate`
		doctor  = "go run ./cmd/coderhook doctor --url https://YOUR-HOST/hooks/custom-access-token"
		soak    = "go test -race ./cmd/internal/soak -run TestSoak -soak.time 5m -soak.seed 42 -timeout 1h -v"
		lint    = "go vet ./... && go tool -modfile=.tools/go.mod staticcheck ./... && go tool -modfile=.tools/go.mod gofumpt -l ."
	)
	runBy := map[string]string{
		"go run ./cmd/coderhook-dev":   ".ci/run, with -once",
		"go test -race ./...":          ".ci/run",
		"go run ./cmd/coderhook serve": "cmdtest.Start",
		"bash .ci/run":                 "CI",
		soak:                           ".ci/run, shorter",
		"go run ./cmd/internal/siege":  ".ci/run, a second for each attack",
		"bash .ci/fuzz":                ".ci/run",
		migrate:                        "TestMigrateCommand",
		migrate + " --lock-keys":       "TestSupabaseQuickstart",
		lint:                           ".ci/run",
		doctor:                         "TestDoctorFindsNothingWhereAllIsWell",
		"go run ./cmd/coderhook reconcile --dry-run":                                                               "TestReconcileCommand",
		"go run ./cmd/coderhook reconcile":                                                                         "TestReconcileCommand",
		`go run ./cmd/coderhook revoke --user UUID-OR-E-MAIL --all-tokens --why "lost laptop"`:                     "TestRevokeCommand",
		"go run ./cmd/coderhook policy test --file policy.yaml --all":                                              "TestPolicyOverTheDatabase",
		"go run ./cmd/coderhook provision --all --dry-run":                                                         "TestProvisionSome",
		"go run ./cmd/coderhook provision --all":                                                                   "TestProvisionAllUsers",
		"go run ./cmd/coderhook seal":                                                                              "TestSealCommand",
		"go run ./cmd/coderhook rotate-keys":                                                                       "TestRotateKeysCommand",
		"go run ./cmd/coderhook link --user UUID --coder-user NAME":                                                "TestLinkCommand",
		"go run ./cmd/coderhook link --user UUID --coder-user NAME --from UUID":                                    "TestLinkCommandMoves",
		"go run ./cmd/coderhook explain --user UUID-OR-E-MAIL":                                                     "TestExplain",
		"go run ./cmd/coderhook send --url https://YOUR-HOST/hooks/custom-access-token --user UUID --email E-MAIL": "TestSend",
		`psql "$ADMIN_DATABASE_URL" -c "alter role coderhook with login password 'a long random password'"`:        "TestTheFirstSteps",
		// The rest needs an engine for containers, which CI lacks: it is run as far as it goes without.
		"cp testdata/supabase/.env.example testdata/supabase/.env":                                                       "TestSupabaseProjectNamesItsVariables",
		"npm ci --prefix testdata/bench":                                                                                 ".ci/run",
		"go run ./cmd/internal/bench -write":                                                                             ".ci/run, with one short round and without -write",
		"go tool -modfile=.tools/go.mod benchstat -filter .name:Mint -col /server testdata/bench/results.txt":            ".ci/run",
		"npm ci --prefix testdata/supabase":                                                                              ".ci/run",
		"testdata/supabase/node_modules/.bin/supabase start --workdir testdata":                                          "TestSupabaseCLIAcceptsTheProject",
		"set -a; . testdata/supabase/.env; set +a":                                                                       "TestSupabaseProjectNamesItsVariables",
		`docker build --build-arg VERSION=v1.2.3 --build-arg COMMIT="$(git rev-parse HEAD)" -t coderhook .`:              "TestDockerfileBuildsAStaticProgram",
		"docker compose -f docker-compose.yml -f coderhook.yml run --rm coderhook-migrate":                               "the module .tools/ops: TestComposeAddsToSupabase",
		`docker compose exec db psql -U postgres -c "alter role coderhook with login password 'a long random password'"`: "TestTheFirstSteps",
		"docker compose -f docker-compose.yml -f coderhook.yml up -d":                                                    "the module .tools/ops: TestComposeAddsToSupabase",
		"docker compose -f docker-compose.yml -f coderhook.yml exec coderhook /coderhook doctor":                         "the module .tools/ops: TestComposeAddsToSupabase",
		"docker run --rm -p 8787:8787 --env-file coderhook.env coderhook":                                                "TestDockerfileBuildsAStaticProgram",
	}
	text := ""
	for _, name := range []string{"README.md", ".github/CONTRIBUTING.md", "testdata/supabase/README.md", "testdata/bench/README.md"} {
		text += projectFile(t, name)
	}
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(block[1]) {
			command, _, _ := strings.Cut(line, "   #")
			command, _, _ = strings.Cut(command, "          #")
			if runBy[strings.TrimSpace(command)] == "" {
				t.Errorf("nothing runs %q", strings.TrimSpace(command))
			}
		}
	}
}
