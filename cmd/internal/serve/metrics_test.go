package serve

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/cmd/internal/listen"
	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/hook/gateway"
	"coderhook/hook/keyring"
	"coderhook/hook/metrics"
	"coderhook/hook/owner"
	"coderhook/hook/provision"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
)

// Alerts and dashboard ask only for registry that there are.
func TestOpsAskForKnownMetrics(t *testing.T) {
	t.Parallel()
	known := metricNames(t)
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		text, err := os.ReadFile("../../../testdata/ops/" + file)
		if err != nil {
			t.Fatal(err)
		}
		asked := regexp.MustCompile(`coderhook_[a-z_]+`).FindAllString(string(text), -1)
		if len(asked) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
		for _, name := range asked {
			if !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s asks for %s, which there is not", file, name)
			}
		}
	}
}

// metricNames are all that a server shows once it has had something to do.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	coder, err := coderclient.New(coderclient.Config{URL: "http://127.0.0.1:1", Token: func() string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	registry := metrics.New()
	describeDependencies(registry, storetest.New(t).Store(t), coder, "dev", "")
	describeOwnerToken(registry, newOwnerless())
	describeKeys(registry, &keyWatch{})
	describeRules(registry, nil)
	describePlainKeys(registry, &plainWatch{})
	port, err := listen.Open(t.Context(), "127.0.0.1:0", listen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = port.Close() })
	describePort(registry, port, "hook")
	registry.CoderCall()("create_user", 201, time.Millisecond)
	ring := keyring.New(provision.DefaultOptions(), nil, nil, registry, zerolog.Nop())
	keyring.NewReconciler(ring, nil, nil, nil, registry)
	(&hook.Server{Keyring: ring, Registry: registry}).HookHandler()
	startGateway(t, registry)
	return gathered(t, registry)
}

// startGateway starts one that lets nobody in.
func startGateway(t *testing.T, registry *metrics.Registry) {
	t.Helper()
	g := &gateway.Gateway{
		Coder: "http://127.0.0.1:1", Prefix: "/coder", Rules: gateway.DefaultRules(), Auth: gatewayCallers{}, Keys: gatewayKeys{},
		CORS: gateway.CORS{Allows: func(string) bool { return false }}, Metrics: registry, Log: zerolog.Nop(), Now: time.Now,
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
}

// newOwnerless is a keeper that has not asked Coder.
func newOwnerless() *owner.Keeper {
	return &owner.Keeper{Token: &owner.Token{}, Now: time.Now}
}

func gathered(t *testing.T, registry *metrics.Registry) map[string]bool {
	t.Helper()
	families, err := registry.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, family := range families {
		names[family.GetName()] = true
	}
	return names
}

// A ledger that can't be asked has no numbers, and everything else is shown all the same.
func TestMetricsWithoutADatabase(t *testing.T) {
	t.Parallel()
	coder, err := coderclient.New(coderclient.Config{URL: "http://127.0.0.1:1", Token: func() string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	database, err := store.Open(t.Context(), store.Config{URL: "postgres://coderhook:x@127.0.0.1:1/postgres"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(database.Close)
	registry := metrics.New()
	describeDependencies(registry, database, coder, "dev", "")
	names := gathered(t, registry)
	for name, want := range map[string]bool{
		"coderhook_accounts": false, "coderhook_keys": false, "coderhook_reconcile_oldest_look_timestamp_seconds": false, "coderhook_departures_pending": false,
		"coderhook_database_available": true, "coderhook_coder_available": true, "go_goroutines": true,
	} {
		if names[name] != want {
			t.Errorf("%s: %v", name, names[name])
		}
	}
	want := "# HELP coderhook_database_available 1 when the database answered a ping for this scrape.\n# TYPE coderhook_database_available gauge\ncoderhook_database_available 0\n"
	if err := testutil.GatherAndCompare(registry.Registry, strings.NewReader(want), "coderhook_database_available"); err != nil {
		t.Error(err)
	}
}

// What a server shows that has just started follows Prometheus' rules for names and types.
func TestMetricsOfAServer(t *testing.T) {
	t.Parallel()
	promtool := findPromtool(t)
	db, coder := storetest.New(t), cmdtest.Coder(t)
	p := cmdtest.Start(t, db, coder, "ADMIN_ADDR=127.0.0.1:0", "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS=https://app.example.com")
	response, err := http.Get("http://" + p.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v: %s", response.StatusCode, err, text)
	}
	for _, want := range []string{
		"# TYPE coderhook_database_waits_total counter", `coderhook_keys{state="none"} 0`, `coderhook_accounts{status="active"} 0`,
		"coderhook_accounts_counted_timestamp_seconds ", "coderhook_reconcile_oldest_look_timestamp_seconds 0",
		`coderhook_writes_total{result="given up"} 0`, "coderhook_departures_pending 0", "coderhook_departures_oldest_seconds 0", "coderhook_database_available 1", "coderhook_owner_token_usable 1",
		`coderhook_connections{listener="hook"} 0`, `coderhook_connections_limit{listener="hook"} 1024`,
		`coderhook_gateway_requests_total{class="workspaces",status="2xx"} 0`, `coderhook_gateway_refused_total{rule="keys"} 0`, "coderhook_gateway_open 0",
		"coderhook_gateway_sockets 0", `coderhook_gateway_bytes_total{direction="to_client"} 0`,
		"go_goroutines ", "process_cpu_seconds_total ",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("without %q", want)
		}
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin, check.WaitDelay = bytes.NewReader(text), time.Minute
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	p.Stop(t)
}

func findPromtool(t *testing.T) string {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("promtool is not installed (Debian: prometheus)")
	}
	return promtool
}

func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool := findPromtool(t)
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		check := exec.Command(promtool, args...)
		check.Dir = "../../../testdata/ops"
		check.WaitDelay = time.Minute
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
