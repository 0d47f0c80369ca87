package doctor_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
)

const productPages = "https://app.example.com,https://*.preview.example.com"

// gatewayDeployment is one with the gateway, at the hook's port.
func gatewayDeployment(t *testing.T) (w *cmdtest.Deployment, gateway string) {
	t.Helper()
	w = cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileNew))
	w.Variables["GATEWAY"], w.Variables["SUPABASE_JWT_SECRET"], w.Variables["CORS_ORIGINS"] = "on", cmdtest.JWTSecret, productPages
	p := w.Start(t, "GATEWAY=on", "SUPABASE_JWT_SECRET="+cmdtest.JWTSecret, "CORS_ORIGINS="+productPages)
	return w, "http://" + p.Addr + "/coder"
}

func TestDoctorCallsTheGateway(t *testing.T) {
	t.Parallel()
	w, gateway := gatewayDeployment(t)
	trail := storetest.Query[int](t, w.DB, `select count(*) from coderhook.audit`)
	w.Gateway = gateway
	cmdtest.WantResults(t, w.Doctor(t))
	text := w.Text(t, "")
	for _, want := range []string{
		"ok       gateway, call without a token: refused", "ok       gateway, key in the address", "ok       gateway, signed token",
		"ok       gateway, token with a wrong signature", "ok       gateway, pages: https://app.example.com may call",
		"ok       gateway, pages: https://doctor.preview.example.com may call", "ok       gateway, WebSocket:", "ok       gateway, WebSocket of a foreign page",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := storetest.Query[int](t, w.DB, `select count(*) from coderhook.audit`); got != trail || len(w.Coder.Users()) > 0 {
		t.Errorf("it leaves %d rows and %v", got-trail, w.Coder.Users())
	}

	// The hook's address is enough where both are at one port; else it says nothing of the gateway.
	w.Gateway, w.URL = "", strings.Replace(gateway, "/coder", "/hooks/custom-access-token", 1)
	if text := w.Text(t, ""); !strings.Contains(text, "ok       gateway, WebSocket:") {
		t.Error(text)
	}
	w.Variables["GATEWAY_ADDR"] = ":8790"
	if text := w.Text(t, ""); !strings.Contains(text, "ok       gateway: not called; give --gateway") {
		t.Error(text)
	}

	w.Variables["SUPABASE_JWT_SECRET"] = strings.Repeat("another secret ", 3)
	w.Variables["CORS_ORIGINS"] = "https://new.example.com"
	w.Gateway, w.URL = gateway, ""
	cmdtest.WantResults(t, w.Doctor(t), "failure gateway, signed token", "failure gateway, pages", "failure gateway, WebSocket")
}

// What can stand at the address, or on the way to it, instead.
func TestDoctorOnWhatIsNotTheGateway(t *testing.T) {
	t.Parallel()
	w, gateway := gatewayDeployment(t)
	target, err := url.Parse(strings.TrimSuffix(gateway, "/coder"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := func(change func(*http.Request)) string {
		server := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); change(r.Out) }})
		t.Cleanup(server.Close)
		return server.URL + "/coder"
	}
	elsewhere := httptest.NewServer(http.RedirectHandler(gateway, http.StatusFound))
	t.Cleanup(elsewhere.Close)
	for _, test := range []struct {
		name, gateway string
		want          []string
	}{
		{"no URL", "coder.example.com", []string{"failure gateway's address"}},
		{"nobody", "http://127.0.0.1:1/coder", []string{"failure gateway, call without a token"}},
		{"another path", strings.TrimSuffix(gateway, "/coder"), []string{"failure gateway, call without a token"}},
		{"Coder", w.Coder.URL, []string{"failure gateway, call without a token"}},
		{"a redirect", elsewhere.URL, []string{"failure gateway, call without a token"}},
		{"a good proxy", proxy(func(*http.Request) {}), nil},
		{"a proxy without WebSockets", proxy(func(r *http.Request) {
			r.Header.Del("Upgrade")
			r.Header.Del("Connection")
		}), []string{"failure gateway, WebSocket", "failure gateway, WebSocket of a foreign page"}},
		{"a proxy that takes tokens", proxy(func(r *http.Request) { r.Header.Del("Authorization") }), []string{"failure gateway, signed token"}},
		{"a proxy that takes queries", proxy(func(r *http.Request) { r.URL.RawQuery = "" }), []string{"failure gateway, key in the address"}},
	} {
		w.Gateway = test.gateway
		t.Log(test.name)
		cmdtest.WantResults(t, w.Doctor(t), test.want...)
	}
	delete(w.Variables, "GATEWAY")
	cmdtest.WantResults(t, w.Doctor(t), "failure gateway")
}
