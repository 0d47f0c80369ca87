package pgserver

import (
	"fmt"
	"testing"
)

// As root there are several ways, and the second is for containers that forbid the first.
func TestEveryAccountRunsAServer(t *testing.T) {
	t.Parallel()
	who, err := accounts()
	if err != nil {
		t.Fatal(err)
	}
	bin, ok := installed()
	if !ok {
		t.Fatal(howToInstall)
	}
	for _, who := range who {
		t.Run(fmt.Sprintf("%+v", who), func(t *testing.T) {
			t.Parallel()
			s, err := launch(t.Context(), Options{}, bin, who)
			if err != nil {
				t.Fatal(err)
			}
			if got := query(t, s.URL("postgres"), `select current_user || ' ' || current_setting('fsync')`); got != "postgres off" {
				t.Errorf("got %s", got)
			}
			stop(t, s)
		})
	}
}
