package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"coderhook/cmd/internal/config"

	"github.com/rs/zerolog"
)

// recheck is how often the certificate's files are looked at, at most.
const recheck = time.Second

// certificate is read again when its files change, so that a renewal needs no restart.
type certificate struct {
	certFile, keyFile string
	log               zerolog.Logger

	mu       sync.Mutex
	current  *tls.Certificate
	changed  [2]time.Time // of the files that current was read from
	lookedAt time.Time
}

// openCertificate reads the pair once, so that a fault shows at start.
func openCertificate(certFile, keyFile string, log zerolog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	changed, err := c.stat()
	if err == nil {
		err = c.read(changed)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.CertificateVariables, err)
	}
	return c, nil
}

// get is for tls.Config. A pair that can't be read leaves the old one in use: half of it may be written.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.lookedAt) < recheck {
		return c.current, nil
	}
	c.lookedAt = time.Now()
	changed, err := c.stat()
	if err == nil && changed != c.changed {
		err = c.read(changed)
	}
	if err != nil {
		c.log.Warn().Err(err).Msg("TLS certificate not read again: the old one stays in use")
	}
	return c.current, nil
}

func (c *certificate) stat() (changed [2]time.Time, err error) {
	for i, file := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return changed, err
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}

func (c *certificate) read(changed [2]time.Time) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current, c.changed = &pair, changed
	return nil
}
