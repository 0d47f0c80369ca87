package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
)

// The address of an app has a query of its own, which may hold the app's own secret: no span has one.
func TestTracesHaveNoQuery(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	coder.Configure(func(s *codertest.Settings) { s.AppHost = "*.apps.localhost" })
	p := cmdtest.Start(t, db, coder, "OTEL_TRACES_EXPORTER=console", "OTEL_BSP_SCHEDULE_DELAY=10", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret)
	user := db.AddUser(t, "ada@example.com")
	if _, _, err := p.Mint(t.Context(), http.DefaultClient, user, "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	token := cmdtest.AccessToken(t, user, nil)
	cmdtest.Eventually(t, "sent to the app", func() bool { // once the key is stored
		to, status := enter(t.Context(), p, token, "https://code--main--ws--ada.apps.localhost/p?token=the-apps-own")
		return status == http.StatusSeeOther && strings.Contains(to, "token=the-apps-own")
	})
	p.Stop(t)
	traces := p.Output()
	if !strings.Contains(traces, "/api/v2/applications/auth-redirect") || !strings.Contains(traces, "GET /applications/auth-redirect") {
		t.Error("the calls are not in the traces")
	}
	for _, word := range []string{"the-apps-own", "redirect_uri", "url.query"} {
		if strings.Contains(traces, word) {
			t.Errorf("%q stands in the traces", word)
		}
	}
}

// enter asks for the way into an app.
func enter(ctx context.Context, p *cmdtest.Server, token, app string) (location string, status int) {
	address := strings.Replace(p.URL, "/hooks/custom-access-token", "/applications/auth-redirect?redirect_uri=", 1) + url.QueryEscape(app)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err.Error(), 0
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err.Error(), 0
	}
	defer response.Body.Close()
	return response.Header.Get("Location"), response.StatusCode
}
