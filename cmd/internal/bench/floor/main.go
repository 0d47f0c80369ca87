// Command floor does coderhook's job with as little as it takes: net/http, an HMAC, one prepared SELECT and one
// splice. It is what the bench holds coderhook against. Nothing that could go wrong is looked after: do not run it.
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	encoded := strings.TrimPrefix(os.Getenv("CUSTOM_ACCESS_TOKEN_HOOK_SECRETS"), "v1,whsec_")
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	config.MaxConns = 10
	f := floor{secret: secret}
	if f.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		return err
	}
	http.HandleFunc("POST /hooks/custom-access-token", f.mint)
	return http.ListenAndServe(os.Getenv("LISTEN_ADDR"), nil)
}

type floor struct {
	secret []byte
	pool   *pgxpool.Pool
}

// lookup is the one that the job needs: a key, and whether it lives.
const lookup = `
select p.api_key, a.key_expires_at
  from public.profiles as p
  join coderhook.accounts as a on a.user_id = p.id
 where p.id = $1`

func (f *floor) mint(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !f.signed(r.Header, body) {
		http.Error(w, "signature not accepted", http.StatusUnauthorized)
		return
	}
	// Cut by sight, where anybody else has to parse: nothing is cheaper.
	_, user, _ := bytes.Cut(body, []byte(`"user_id":"`))
	user, claims, _ := bytes.Cut(user, []byte(`","claims":`))
	claims, _, _ = bytes.Cut(claims, []byte(`,"authentication_method":`))
	before, after, ok := bytes.Cut(claims, []byte(`"app_metadata":{`))
	if !ok {
		http.Error(w, "not the event of the bench", http.StatusBadRequest)
		return
	}
	var key string
	var expires time.Time
	if err := f.pool.QueryRow(r.Context(), lookup, string(user)).Scan(&key, &expires); err != nil || time.Now().After(expires) {
		http.Error(w, "no key that lives", http.StatusInternalServerError)
		return
	}
	answer := slices.Concat([]byte(`{"claims":`), before, []byte(`"app_metadata":{"api_key":"`+key+`",`), after, []byte(`}`))
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer)
}

func (f *floor) signed(header http.Header, body []byte) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, f.secret)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(header.Get("webhook-signature")), []byte(want))
}
