package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
	"coderhook/store"
	"coderhook/store/storetest"

	"github.com/google/uuid"
)

// shown returns four characters in a row of the password that stand in text.
func shown(text, password string) string {
	runes := []rune(password)
	for i := range len(runes) - 3 {
		if part := string(runes[i : i+4]); strings.Contains(text, part) {
			return part
		}
	}
	return ""
}

// unescaped are passwords as they are pasted into a URL: each special character at the beginning, in the
// middle and at the end of words that are like a port or like none.
func unescaped() (all []string) {
	for c := range strings.SplitSeq("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ é", "") {
		for _, words := range [][2]string{{"Xk9KX7VJ2", "Zq4pwQzWv"}, {"815162", "342Wq8Qz9"}, {"", "Xk9KX7VJ2Zqpw"}} {
			all = append(all, c+words[0]+words[1], words[0]+c+words[1], words[0]+words[1]+c, words[0]+c+words[1]+"/Kw7z@Gh3x")
		}
	}
	return all
}

// No command prints a part of a password that is not escaped, whatever it takes for host and database.
func TestNoCommandShowsAPartOfThePassword(t *testing.T) {
	t.Parallel()
	coder := cmdtest.Coder(t)
	// Many at once, as commands wait two seconds for a database that is not there, which may be restarting.
	var all sync.WaitGroup
	turns := make(chan struct{}, 64)
	for _, password := range unescaped() {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			showsNothingOf(t, password, coder)
		})
	}
	all.Wait()
}

func showsNothingOf(t *testing.T, password string, coder *codertest.Server) {
	variables := cmdtest.Variables()
	variables["DATABASE_URL"], variables["ADMIN_ADDR"] = "postgres://coderhook:"+password+"@127.0.0.1:1/x", "off"
	variables["CODER_URL"], variables["CODER_OWNER_TOKEN"] = coder.URL, coder.OwnerToken
	commands := [][]string{{"migrate"}, {"doctor"}, {"explain", "--user", uuid.NewString()}, {"link", "--user", uuid.NewString(), "--coder-user", "ada", "--yes"}}
	if (store.Config{URL: variables["DATABASE_URL"]}).CheckURL() != nil {
		commands = append(commands, []string{"serve"}, []string{"reconcile"}) // they end at once
	}
	for _, args := range commands {
		out, err := command(t, variables, args...)
		if err == nil {
			t.Errorf("%v with %q ended well", args, password)
			continue
		}
		if part := shown(out+err.Error(), password); part != "" {
			t.Errorf("%v with %q: %q stands in %s%v", args, password, part, out, err)
		}
	}
}

// Nor does the log of a server that was started with such a URL, at any mint.
func TestNoLogShowsAPartOfThePassword(t *testing.T) {
	t.Parallel()
	db, coder := storetest.New(t), cmdtest.Coder(t)
	for _, password := range []string{"Xk9:KX7VJ2+Zq", "Xk9@KX7VJ2@Zq", "Xk9%2FKX7VJ2%40Zq", "!$&'()*+,;=-._~Zq4w", ":Xk9KX7VJ2:"} {
		p := cmdtest.Start(t, db, coder, "LOG_LEVEL=trace", "DATABASE_URL=postgres://coderhook:"+password+"@127.0.0.1:1/x")
		if _, status, err := p.Mint(t.Context(), http.DefaultClient, uuid.New(), "ada@example.com"); err != nil || status != "unavailable" {
			t.Errorf("status %q, error %v", status, err)
		}
		cmdtest.Eventually(t, "the log says what is wrong", func() bool { return strings.Contains(p.Log(), "the database can't be used") })
		p.Stop(t)
		if part := shown(p.Log(), password); part != "" {
			t.Errorf("%q: %q stands in the log", password, part)
		}
	}
}
