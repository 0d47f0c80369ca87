package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/hook"
	"coderhook/store/storetest"
)

// Alerts and dashboard ask only for metrics that there are.
func TestOpsAskForKnownMetrics(t *testing.T) {
	t.Parallel()
	known := metricNames(t)
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		text, err := os.ReadFile("../../testdata/ops/" + file)
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
	metrics := hook.NewMetrics()
	describeDependencies(metrics, storetest.New(t).Store(t), coder)
	metrics.CoderCall("create_user", 201, time.Millisecond)
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, family := range families {
		names[family.GetName()] = true
	}
	return names
}

func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("promtool is not installed (Debian: prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		check := exec.Command(promtool, args...)
		check.Dir = "../../testdata/ops"
		check.WaitDelay = time.Minute
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
