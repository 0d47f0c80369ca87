// Package keypair has certificates with their keys, which are read again when their files change, so that a renewal
// needs no restart.
package keypair

import (
	"crypto/tls"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// recheck is how often the files are looked at, at most.
const recheck = time.Second

// Pair is a certificate and its key, in two files.
type Pair struct {
	Log     zerolog.Logger // may be set until the pair is used
	Recheck time.Duration  // how often the files are looked at, at most; likewise

	certFile, keyFile string

	mu       sync.Mutex
	current  *tls.Certificate
	changed  [2]time.Time // of the files that current was read from
	lookedAt time.Time
}

// Open reads the pair once, so that a fault shows at start.
func Open(certFile, keyFile string, log zerolog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, Log: log, Recheck: recheck}
	changed, err := p.stat()
	if err == nil {
		err = p.read(changed)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// ForClient returns the certificate with which we answer a client's handshake.
func (p *Pair) ForClient(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.now(), nil }

// ForServer returns the certificate that a server gets which asks for one.
func (p *Pair) ForServer(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.now(), nil }

// Ends returns when the certificate ends.
func (p *Pair) Ends() time.Time { return p.now().Leaf.NotAfter }

// now returns the certificate for a handshake. A pair that can't be read leaves the old one in use: half of it may be written.
func (p *Pair) now() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.lookedAt) < p.Recheck {
		return p.current
	}
	p.lookedAt = time.Now()
	changed, err := p.stat()
	if err == nil && changed != p.changed {
		err = p.read(changed)
	}
	if err != nil {
		p.Log.Warn().Err(err).Msg("TLS certificate not read again: the old one stays in use")
	}
	return p.current
}

func (p *Pair) stat() (changed [2]time.Time, err error) {
	for i, file := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return changed, err
		}
		changed[i] = info.ModTime()
	}
	return changed, nil
}

func (p *Pair) read(changed [2]time.Time) error {
	pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return err
	}
	p.current, p.changed = &pair, changed
	return nil
}
