package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/store/storetest"
)

// Traces show a mint's request, SQL and calls to Coder as one, and no secret and no address of anybody.
func TestTraces(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	p := cmdtest.Start(t, db, coder, "OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=10")
	user := db.AddUser(t, "ada@example.com")
	key, _, err := p.Mint(t.Context(), http.DefaultClient, user, "ada@example.com")
	if err != nil || key == "" {
		t.Fatalf("key %q, error %v", key, err)
	}
	p.Stop(t)
	traces := p.Output()
	for _, want := range []string{"POST /hooks/custom-access-token", "provision", "HTTP POST", "INSERT", "SELECT"} {
		if !strings.Contains(traces, `"Name":"`+want) {
			t.Errorf("no span %q among %q", want, regexp.MustCompile(`"Name":"[^"]*"`).FindAllString(traces, -1))
		}
	}
	_, secret, _ := strings.Cut(key, "-")
	_, owner, _ := strings.Cut(coder.OwnerToken, "-")
	for _, word := range []string{secret, owner, "ada@example.com", "ada%40example.com", cmdtest.Secret} {
		if strings.Contains(traces, word) {
			t.Errorf("%.4s… stands in the traces", word)
		}
	}
	ids := make(map[string]bool)
	for _, line := range strings.Split(traces, "\n") {
		if strings.Contains(line, `"Name":"HTTP POST"`) || strings.Contains(line, "custom-access-token") {
			_, rest, _ := strings.Cut(line, `"TraceID":"`)
			ids[rest[:min(32, len(rest))]] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("the mint and its calls to Coder are in %d traces, want one", len(ids))
	}
}
