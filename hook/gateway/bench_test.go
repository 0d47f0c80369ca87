package gateway_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"coderhook/hook/gateway"

	"golang.org/x/time/rate"
)

// BenchmarkOverhead asks Coder for a small answer, in turns directly and through the gateway, and gives both medians.
func BenchmarkOverhead(b *testing.B) {
	small := bytes.Repeat([]byte("a"), 2000)
	compare(b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(small)
	}, func(direct, through []time.Duration) {
		b.ReportMetric(float64(median(direct).Microseconds()), "µs-direct")
		b.ReportMetric(float64(median(through).Microseconds()), "µs-through")
		b.ReportMetric(float64((median(through) - median(direct)).Microseconds()), "µs-overhead")
	})
}

// BenchmarkDownload fetches 100 MiB, in turns directly and through the gateway: over loopback, where all that counts is
// how often the one machine copies each byte, and from a Coder at the end of a link of 1 Gbit/s.
func BenchmarkDownload(b *testing.B) {
	for name, perSecond := range map[string]int{"loopback": 0, "gigabit": 125_000_000} {
		b.Run(name, func(b *testing.B) { benchmarkDownload(b, perSecond) })
	}
}

func benchmarkDownload(b *testing.B, perSecond int) {
	const size = 100 << 20
	part := make([]byte, 256<<10)
	compare(b, func(w http.ResponseWriter, r *http.Request) {
		limit := rate.Limit(perSecond)
		if perSecond == 0 {
			limit = rate.Inf
		}
		link := rate.NewLimiter(limit, len(part))
		w.Header().Set("Content-Type", "application/x-tar")
		for range size / len(part) {
			if _, err := w.Write(part); err != nil || link.WaitN(r.Context(), len(part)) != nil {
				return
			}
		}
	}, func(direct, through []time.Duration) {
		b.ReportMetric(100/median(direct).Seconds(), "MiB/s-direct")
		b.ReportMetric(100/median(through).Seconds(), "MiB/s-through")
		b.ReportMetric(median(direct).Seconds()/median(through).Seconds(), "of-direct")
	})
}

func compare(b *testing.B, serve http.HandlerFunc, report func(direct, through []time.Duration)) {
	coder := httptest.NewServer(serve)
	b.Cleanup(coder.Close)
	s := newStand(b, func(g *gateway.Gateway) { g.Coder, g.Limits.PerMinute = coder.URL, 1<<30 })
	took := map[string][]time.Duration{}
	b.ResetTimer()
	for range b.N {
		for _, url := range []string{coder.URL, s.url} {
			req, _ := http.NewRequest(http.MethodGet, url+"/api/v2/users/me", nil)
			req.Header.Set("Authorization", "Bearer token-alice")
			began := time.Now()
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Fatal(resp, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			_ = resp.Body.Close() // read to its end
			took[url] = append(took[url], time.Since(began))
		}
	}
	report(took[coder.URL], took[s.url])
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}
