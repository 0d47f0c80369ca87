package config

import (
	"crypto/tls"
	"time"
)

// readFrontEndAddr reads an address, or nothing.
func readFrontEndAddr(v *variables) string {
	if v.text("FRONTEND_ADDR", "") == "" {
		return ""
	}
	return v.port("FRONTEND_ADDR", ":8789")
}

// readAdmin reads an address, or "off".
func readAdmin(v *variables) string {
	if v.text("ADMIN_ADDR", "") == "off" {
		return "off"
	}
	return v.port("ADMIN_ADDR", "127.0.0.1:8788")
}

// CertificateVariables name the certificate's files.
const CertificateVariables = "TLS_CERT_FILE, TLS_KEY_FILE"

// Certificate is the pair of files with which the server speaks TLS; zero where it does not.
type Certificate struct {
	CertFile, KeyFile string
	Ends              time.Time // zero also where the files have a fault
}

// readCertificate loads the pair, so that what is wrong with it is among the faults.
func readCertificate(v *variables) Certificate {
	c := Certificate{CertFile: v.text("TLS_CERT_FILE", ""), KeyFile: v.text("TLS_KEY_FILE", "")}
	switch {
	case c.CertFile == "" && c.KeyFile == "":
		return c
	case c.CertFile == "" || c.KeyFile == "":
		v.fault("TLS_CERT_FILE", "goes together with TLS_KEY_FILE; set both or none")
		return c
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		v.fault(CertificateVariables, "can't be used: %w; name two PEM files that the server may read: the certificate with its chain, and its private key", err)
		return c
	}
	c.Ends = pair.Leaf.NotAfter
	return c
}

func readLogging(v *variables) Logging {
	return Logging{
		Level:  v.oneOf("LOG_LEVEL", "info", "trace", "debug", "warn", "error"),
		Format: v.oneOf("LOG_FORMAT", "auto", "json", "console"),
	}
}

// readBySDK are variables that can do harm unseen in quotes, which docker --env-file keeps.
var readBySDK = []string{
	"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
}

// readTraces says where traces go: "otlp", "console" or "none".
func readTraces(v *variables) string {
	for _, name := range readBySDK {
		_ = v.value(name) // for its faults
	}
	fallback := "none"
	if v.text("OTEL_EXPORTER_OTLP_ENDPOINT", "") != "" || v.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "") != "" {
		fallback = "otlp"
	}
	switch exporter := v.text("OTEL_TRACES_EXPORTER", fallback); {
	case v.text("OTEL_SDK_DISABLED", "false") == "true":
		return "none"
	case exporter == "otlp", exporter == "console", exporter == "none":
		return exporter
	default:
		v.fault("OTEL_TRACES_EXPORTER", "%q is not known; set one of otlp (over HTTP), console, none", exporter)
		return "none"
	}
}
