package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// OTLP is where traces go, and how, by the variables of OpenTelemetry's specification of its exporter.
type OTLP struct {
	URL     string
	Headers http.Header
	Timeout time.Duration // of one try
	Gzip    bool
	TLS     *tls.Config // nil: the system's authorities
}

// otlpVariable is one that has a second name for traces only, which comes first.
func otlpVariable(v *variables, name, fallback string) (from, value string) {
	if from, value = otlpText(v.value, name); value == "" {
		value = fallback
	}
	return from, value
}

func otlpText(read func(string) string, name string) (from, value string) {
	from = "OTEL_EXPORTER_OTLP_TRACES_" + name
	if value = read(from); value != "" {
		return from, value
	}
	from = "OTEL_EXPORTER_OTLP_" + name
	return from, read(from)
}

// readOTLP reads how traces are sent over HTTP, as protobuf. What is wrong with that is no fault while they
// are not; quotes around a value are one all the same.
func readOTLP(all *variables, exporter string) OTLP {
	v := &variables{get: all.value}
	o := OTLP{URL: readOTLPAddress(v), Headers: readOTLPHeaders(v), TLS: readOTLPCertificates(v)}
	from, text := otlpVariable(v, "TIMEOUT", "10000")
	millis, err := strconv.Atoi(text)
	if err != nil || millis < 1 {
		v.fault(from, "%q is no number of milliseconds; write it like 10000", text)
	}
	o.Timeout = time.Duration(millis) * time.Millisecond
	from, text = otlpVariable(v, "COMPRESSION", "none")
	if o.Gzip = text == "gzip"; !o.Gzip && text != "none" {
		v.fault(from, "%q is not known; set one of none, gzip", text)
	}
	if exporter != "otlp" {
		return OTLP{}
	}
	all.faults = append(all.faults, v.faults...)
	return o
}

// readOTLPAddress takes the address for traces as it is, and adds their path to the one for all signals.
func readOTLPAddress(v *variables) string {
	from, text := otlpVariable(v, "ENDPOINT", "http://localhost:4318")
	address, err := url.Parse(text)
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		v.fault(from, "is not a URL; write it like http://collector:4318")
		return ""
	}
	if from == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		address = address.JoinPath("v1/traces")
	}
	return address.String()
}

// readOTLPHeaders reads name=value, separated by commas and percent-encoded. They may be secrets, and in a file as those.
func readOTLPHeaders(v *variables) http.Header {
	headers := make(http.Header)
	from, text := otlpText(v.secret, "HEADERS")
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil || strings.ContainsAny(name+value, "\r\n") {
			v.fault(from, "is not a list like name=value,name=value, special characters percent-encoded")
			return nil
		}
		headers.Set(name, value)
	}
	return headers
}

// readOTLPCertificates reads the collector's authority, and the certificate that we show it.
func readOTLPCertificates(v *variables) *tls.Config {
	authority, caFile := otlpVariable(v, "CERTIFICATE", "")
	from, certFile := otlpVariable(v, "CLIENT_CERTIFICATE", "")
	_, keyFile := otlpVariable(v, "CLIENT_KEY", "")
	if caFile+certFile+keyFile == "" {
		return nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		config.RootCAs = x509.NewCertPool()
		if err == nil && !config.RootCAs.AppendCertsFromPEM(pem) {
			err = errors.New("it holds no certificate in PEM")
		}
		if err != nil {
			v.fault(authority, "can't be used: %w; name a PEM file with the collector's authority", err)
		}
	}
	if certFile+keyFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			v.fault(from, "can't be used: %w; it and the variable with CLIENT_KEY name two PEM files", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}
