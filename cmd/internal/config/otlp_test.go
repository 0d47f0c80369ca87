package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOTLP(t *testing.T) {
	t.Parallel()
	variables := goodVariables()
	variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = "https://collector.example.com/base/"
	variables["OTEL_EXPORTER_OTLP_HEADERS"] = "authorization=Basic%20abc, x-tenant=a=b"
	variables["OTEL_EXPORTER_OTLP_TIMEOUT"] = "2500"
	variables["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"] = "gzip"
	c, err := read(variables)
	if err != nil {
		t.Fatal(err)
	}
	o := c.OTLP
	if o.URL != "https://collector.example.com/base/v1/traces" || o.Timeout != 2500*time.Millisecond || !o.Gzip || o.TLS != nil ||
		o.Headers.Get("Authorization") != "Basic abc" || o.Headers.Get("X-Tenant") != "a=b" {
		t.Errorf("got %+v", o)
	}
	variables["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = "http://127.0.0.1:4318/own"
	if c, err = read(variables); err != nil || c.OTLP.URL != "http://127.0.0.1:4318/own" {
		t.Errorf("an address for traces only: %q, %v", c.OTLP.URL, err)
	}
}

// A collector's password need not stand among the variables.
func TestOTLPHeadersFromAFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		variables := goodVariables()
		variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = "https://collector.example.com"
		variables[name+"_FILE"] = filepath.Join(t.TempDir(), "headers")
		if _, err := read(variables); err == nil || !strings.Contains(err.Error(), name+"_FILE: the file can't be read") {
			t.Errorf("%s: without the file: %v", name, err)
		}
		if err := os.WriteFile(variables[name+"_FILE"], []byte("authorization=Basic%20abc\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := read(variables); err != nil || c.OTLP.Headers.Get("Authorization") != "Basic abc" {
			t.Errorf("%s: %v, %v", name, c.OTLP.Headers, err)
		}
	}
}

// All faults at once, none with a header, which may be a secret; and none where traces go nowhere.
func TestOTLPFaults(t *testing.T) {
	t.Parallel()
	variables := goodVariables()
	for name, value := range map[string]string{
		"ENDPOINT": "collector:4318", "HEADERS": "Basic hunter2", "TIMEOUT": "10s", "COMPRESSION": "zip",
		"CERTIFICATE": "/nowhere/ca.pem", "CLIENT_CERTIFICATE": "/nowhere/cert.pem",
	} {
		variables["OTEL_EXPORTER_OTLP_"+name] = value
	}
	_, err := read(variables)
	if len(Faults(err)) != 6 || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	variables["OTEL_SDK_DISABLED"] = "true"
	if _, err = read(variables); err != nil {
		t.Errorf("although they are off: %v", err)
	}
}
