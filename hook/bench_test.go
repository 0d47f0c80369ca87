package hook

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"coderhook/store"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// storedKey answers every look-up with the same good key, without a database.
type storedKey struct{ now time.Time }

func (s storedKey) Lookup(_ context.Context, user uuid.UUID) (store.Account, error) {
	return store.Account{
		UserID: user, HasProfile: true, APIKey: "AbCdEfGhIj-0123456789012345678901", Known: true, Status: store.Active,
		KeyID: "AbCdEfGhIj", KeyExpiresAt: s.now.Add(6 * 24 * time.Hour), KeyLifetime: 7 * 24 * time.Hour,
		KeyCheckedAt: s.now, TokenLife: 24 * time.Hour,
	}, nil
}

// BenchmarkHandler is a mint with a key that is there, without SQL and network.
func BenchmarkHandler(b *testing.B) {
	r := recordings(b)["../testdata/hook/01-password-rich-metadata"]
	body, header, now := []byte(r.Request.Body), r.header(), r.sentAt(b)
	verifier, err := NewVerifier(r.Secrets, func() time.Time { return now })
	if err != nil {
		b.Fatal(err)
	}
	o := DefaultOptions()
	o.Now = func() time.Time { return now }
	s := &Server{
		Verifier: verifier, Policy: Policy{RequireAAL: "aal1"}, Accounts: storedKey{now}, Provisioner: NewProvisioner(o, nil, nil, zerolog.Nop()),
		Deadline: 2500 * time.Millisecond, Now: func() time.Time { return now }, Log: zerolog.New(io.Discard),
	}
	handler := s.Handler()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		request := httptest.NewRequest(http.MethodPost, "/hooks/custom-access-token", bytes.NewReader(body))
		request.Header = header
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, request); w.Code != http.StatusOK {
			b.Fatal(w.Body.String())
		}
	}
}

func BenchmarkSplice(b *testing.B) {
	r := recordings(b)["../testdata/hook/01-password-rich-metadata"]
	ev, err := parseEvent([]byte(r.Request.Body))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := findSlot(ev.Claims); err != nil {
			b.Fatal(err)
		}
	}
}
