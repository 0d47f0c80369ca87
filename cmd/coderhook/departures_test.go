package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
	"coderhook/store/storetest"
	"coderhook/store/storetest/pgserver"

	"github.com/google/uuid"
)

// Two servers, straight at the database and through a pooler that keeps no session; one of them is killed in the
// middle. Whoever is banned or deleted is out, and the seconds are logged.
func TestServersTakeUpDepartures(t *testing.T) {
	t.Parallel()
	for name, pooled := range map[string]bool{"direct": false, "through PgBouncer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, coder := storetest.New(t), codertest.Start(codertest.ProfileNew)
			t.Cleanup(coder.Close)
			databaseURL := db.RoleURL("coderhook")
			if pooled {
				pooler, err := pgserver.StartPooler(t.Context(), databaseURL, 6543)
				if errors.Is(err, pgserver.ErrNoPooler) && os.Getenv("CI") != "true" {
					t.Skip(err)
				}
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = pooler.Stop() })
				databaseURL = pooler.URL(storetest.Query[string](t, db, `select current_database()`))
			}
			mortal, other := cmdtest.Start(t, db, coder, "DATABASE_URL="+databaseURL), cmdtest.Start(t, db, coder, "DATABASE_URL="+databaseURL)
			client, err := coderclient.New(coderclient.Config{URL: coder.URL, Token: func() string { return coder.OwnerToken }})
			if err != nil {
				t.Fatal(err)
			}
			leave := []string{
				`update auth.users set banned_until = 'infinity' where id = $1`, `delete from auth.users where id = $1`,
				`update auth.users set deleted_at = now() where id = $1`,
			}
			for i := range 9 {
				user, email := db.AddUser(t, fmt.Sprintf("%d@example.com", i)), fmt.Sprintf("%d@example.com", i)
				key := mintedKey(t, other, user, email)
				cmdtest.Eventually(t, "stored", func() bool {
					return storetest.Query[bool](t, db, `select exists (select from public.profiles where id = $1 and api_key = $2)`, user, key)
				})
				began := time.Now()
				db.Exec(t, leave[i%len(leave)], user)
				if i == 4 {
					if err := mortal.Kill(); err != nil {
						t.Fatal(err)
					}
				}
				for {
					if _, err := client.Me(t.Context(), key); err != nil {
						break
					}
					if time.Since(began) > 2*time.Minute {
						t.Fatalf("user %d is not out", i)
					}
					<-time.After(5 * time.Millisecond)
				}
				t.Logf("user %d is out after %.2f s", i, time.Since(began).Seconds())
			}
		})
	}
}

func mintedKey(t *testing.T, p *cmdtest.Server, user uuid.UUID, email string) string {
	t.Helper()
	key, status, err := p.Mint(t.Context(), http.DefaultClient, user, email)
	if err != nil || key == "" {
		t.Fatalf("%q, %v", status, err)
	}
	return key
}
