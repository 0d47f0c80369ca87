package listen

import (
	"crypto/tls"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// recheck is how often the certificate's files are looked at, at most.
const recheck = time.Second

// Certificate is read again when its files change, so that a renewal needs no restart.
type Certificate struct {
	certFile, keyFile string
	log               zerolog.Logger

	mu       sync.Mutex
	current  *tls.Certificate
	changed  [2]time.Time // of the files that current was read from
	lookedAt time.Time
}

// OpenCertificate reads the pair once, so that a fault shows at start.
func OpenCertificate(certFile, keyFile string, log zerolog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	changed, err := c.stat()
	if err == nil {
		err = c.read(changed)
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// get returns the certificate for a handshake. A pair that can't be read leaves the old one in use: half of it may be written.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
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

func (c *Certificate) stat() (changed [2]time.Time, err error) {
	for i, file := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return changed, err
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}

func (c *Certificate) read(changed [2]time.Time) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current, c.changed = &pair, changed
	return nil
}
