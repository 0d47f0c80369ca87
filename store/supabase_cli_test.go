package store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"coderhook/store"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/go-cmp/cmp"
)

// project is a copy of the one in testdata, for the real Supabase CLI.
type project struct {
	cli, dir string
	env      []string
}

const projectDir = "../testdata/supabase"

// supabaseCLI is the pinned one, which npm installs where it is missing. It is not `npm ci`: the lock
// file would have to name the CLI's packages for all platforms, of which a registry may keep only some.
func supabaseCLI(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skipf("%v; it is needed for the Supabase CLI", err)
		}
	}
	cli, err := filepath.Abs(filepath.Join(projectDir, "node_modules", ".bin", "supabase"))
	must(t, err)
	installing.Lock()
	defer installing.Unlock()
	if _, err := os.Stat(cli); err == nil {
		return cli
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
	npm.Dir = projectDir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return cli
}

// installing makes tests take turns.
var installing sync.Mutex

func newProject(t *testing.T) *project {
	t.Helper()
	p := &project{cli: supabaseCLI(t), dir: t.TempDir()}
	for _, name := range []string{"config.toml", "seed.sql", "migrations"} {
		from, to := filepath.Join(projectDir, name), filepath.Join(p.dir, "supabase", name)
		must(t, os.MkdirAll(filepath.Dir(to), 0o700))
		if info, err := os.Stat(from); err == nil && info.IsDir() {
			must(t, os.CopyFS(to, os.DirFS(from)))
			continue
		}
		content, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(to, content, 0o600))
	}
	p.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "DO_NOT_TRACK=1", "SUPABASE_TELEMETRY_DISABLED=1",
		"DOCKER_HOST=unix:///nonexistent.sock", // whatever this machine has, nothing is to be started on it
		"CUSTOM_ACCESS_TOKEN_HOOK_SECRETS=v1,whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
	}
	return p
}

func (p *project) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.cli, append(args, "--workdir", p.dir, "--yes")...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// push is `supabase db push` as the product's admin, with the seed.
func (p *project) push(t *testing.T, url string) {
	t.Helper()
	if out, err := p.run(t, "db", "push", "--include-seed", "--remote="+url); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The files are there twice: the CLI follows a link, but not every checkout or download has one.
func TestSupabaseProjectHasTheMigrations(t *testing.T) {
	t.Parallel()
	read := func(dir string) map[string]string {
		all := make(map[string]string)
		paths, err := filepath.Glob(filepath.Join(dir, "*"))
		must(t, err)
		for _, path := range paths {
			content, err := os.ReadFile(path)
			must(t, err)
			all[filepath.Base(path)] = string(content)
		}
		return all
	}
	if diff := cmp.Diff(read("migrations"), read(filepath.Join(projectDir, "migrations"))); diff != "" {
		t.Errorf("cp store/migrations/*.sql testdata/supabase/migrations/\n%s", diff)
	}
}

func TestSupabaseProjectNamesItsVariables(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile(filepath.Join(projectDir, "config.toml"))
	must(t, err)
	example, err := os.ReadFile(filepath.Join(projectDir, ".env.example"))
	must(t, err)
	for _, m := range regexp.MustCompile(`env\((\w+)\)`).FindAllStringSubmatch(string(config), -1) {
		if !strings.Contains(string(example), "\n"+m[1]+"=") {
			t.Errorf("%s is not in .env.example", m[1])
		}
	}
}

// The real CLI takes the configuration as far as it gets without Docker, and looks at the secret on the way.
func TestSupabaseCLIAcceptsTheProject(t *testing.T) {
	t.Parallel()
	p := newProject(t)
	out, err := p.run(t, "start")
	if err == nil || !strings.Contains(out, "Docker daemon") || strings.Contains(out, "WARN") {
		t.Errorf("%v\n%s", err, out)
	}
	p.env = append(p.env, "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS=v1,whsec_short")
	out, err = p.run(t, "start")
	if err == nil || !strings.Contains(out, "auth.hook.custom_access_token.secrets must be formatted") {
		t.Errorf("a short secret: %v\n%s", err, out)
	}
}

// The CLI's `db push` and `coderhook migrate`, in either order and again.
func TestSupabaseCLIPushes(t *testing.T) {
	t.Parallel()
	for name, order := range map[string]string{"push, then migrate": "pmp", "migrate, then push": "mpm"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			server, err := pgserver.Start(t.Context(), pgserver.Options{TCP: true})
			must(t, err)
			t.Cleanup(func() { must(t, server.Stop()) })
			admin := productAdmin(t, server)
			for _, step := range order {
				if step == 'p' {
					p.push(t, admin)
				} else {
					must(t, second(store.Migrate(t.Context(), store.Config{URL: admin})))
				}
			}
			// The role can log in by the seed's password, and has what it needs.
			s := storetest.Open(t, store.Config{URL: strings.Replace(admin, pgserver.ProductAdmin+":throwaway", "coderhook:coderhook", 1)})
			user := [16]byte{1}
			must(t, storetest.RunScript(t.Context(), server.URL("postgres"), `insert into auth.users (id) values ('01000000-0000-0000-0000-000000000000')`))
			lease := claimed(t, s, user, "me")
			must(t, s.StoreKey(t.Context(), lease, newKey()))
			if got := lookup(t, s, user); got.APIKey != secret {
				t.Errorf("got %v", got)
			}
		})
	}
}

// productAdmin prepares the server as Supabase would, and returns how its admin connects.
func productAdmin(t *testing.T, server *pgserver.Server) string {
	t.Helper()
	superuser := server.URL("postgres")
	must(t, pgserver.PrepareSupabase(t.Context(), superuser))
	must(t, storetest.RunScript(t.Context(), superuser, `alter role `+pgserver.ProductAdmin+` password 'throwaway'`))
	_, address, _ := strings.Cut(superuser, "@")
	return "postgres://" + pgserver.ProductAdmin + ":throwaway@" + address
}
