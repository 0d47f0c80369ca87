package hook

import (
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"coderhook/coderclient"
	"coderhook/hook/keyring"
	ours "coderhook/hook/metrics"
	"coderhook/hook/provision"
	"coderhook/hook/reconcile"
	"coderhook/hook/rules"
	"coderhook/store/storetest"

	"github.com/rs/zerolog"
)

var benchRows = flag.String("rows", "1000", "sizes of the ledgers of benchmarks, separated by commas")

// BenchmarkReconcile goes through ledgers of different sizes, without a pause for Coder, which answers at once that there
// are no tokens: go test ./hook -run - -bench Reconcile -benchtime 1x -rows 10000,100000,1000000
func BenchmarkReconcile(b *testing.B) {
	for text := range strings.SplitSeq(*benchRows, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("rows="+text, func(b *testing.B) { benchReconcile(b, n) })
	}
}

func benchReconcile(b *testing.B, n int) {
	db := storetest.New(b)
	db.Exec(b, `insert into auth.users (id, email) select gen_random_uuid(), 'user' || i || '@example.com' from generate_series(1, $1) i`, n)
	db.Exec(b, `insert into coderhook.accounts (user_id, coder_user_id, coder_username, status, key_id, key_expires_at, key_lifetime_seconds, token_seconds, updated_at)
		select id, gen_random_uuid(), left(id::text, 8), 'active', left(md5(email), 10), now() + interval '5 days', 604800, 3600, now() - interval '1 day' from auth.users`)
	db.Exec(b, `vacuum analyze`)
	quiet, ruled := newBenchReconciler(b, db, ""), newBenchReconciler(b, db, "rules: [{name: all, when: 'user.email != \"\"', give: {}}]")
	week := func() { db.Exec(b, `update coderhook.accounts set looked_at = now() - interval '1 week'`) }
	for _, mode := range []struct {
		name   string
		before func()
		run    func() (reconcile.Summary, error)
	}{
		{"run", func() {}, func() (reconcile.Summary, error) { return quiet.Turn(b.Context()) }},
		{"run with rules", func() {}, func() (reconcile.Summary, error) { return ruled.Turn(b.Context()) }},
		{"looks of a week", week, func() (reconcile.Summary, error) { return quiet.LookTurn(b.Context()) }},
		{"scan", func() {}, func() (reconcile.Summary, error) { return quiet.ScanAll(b.Context()) }},
	} {
		b.Run(mode.name, func(b *testing.B) {
			b.ReportAllocs()
			most := watchHeap()
			for b.Loop() {
				b.StopTimer()
				mode.before()
				b.StartTimer()
				if sum, err := mode.run(); err != nil || sum.Failed > 0 {
					b.Fatalf("%s, %v", sum, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(n), "µs/account")
			b.ReportMetric(most(), "heap-MB")
		})
	}
}

func newBenchReconciler(b *testing.B, db *storetest.DB, policy string) *reconcile.Reconciler {
	coder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Coder-Build-Version", "v2.36.0")
		_, _ = io.WriteString(w, "[]")
	}))
	b.Cleanup(coder.Close)
	client, err := coderclient.New(coderclient.Config{URL: coder.URL, Token: func() string { return "token" }, CallTimeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	registry, database := ours.New(), db.Store(b)
	ring := keyring.New(provision.DefaultOptions(), database, client, registry, zerolog.Nop())
	if policy != "" {
		source := rules.Source{Path: filepath.Join(b.TempDir(), "policy.yaml")}
		if err := os.WriteFile(source.Path, []byte(policy), 0o600); err != nil {
			b.Fatal(err)
		}
		first, err := source.Read()
		if err != nil {
			b.Fatal(err)
		}
		ring.Rules = rules.NewLive(source, first, registry, zerolog.Nop())
	}
	r := keyring.NewReconciler(ring, database, client, database, registry)
	r.FullInterval, r.Grace = 7*24*time.Hour, time.Hour
	return r
}

// watchHeap returns what tells how large the heap was at most, in MB.
func watchHeap() (most func() float64) {
	stop, ended, largest := make(chan struct{}), make(chan struct{}), uint64(0)
	go func() {
		defer close(ended)
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			metrics.Read(sample)
			largest = max(largest, sample[0].Value.Uint64())
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
		}
	}()
	return func() float64 { close(stop); <-ended; return float64(largest) / 1e6 }
}
