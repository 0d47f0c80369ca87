package store_test

import (
	"testing"

	"coderhook/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestSmoke(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	s := db.Store(t)
	id := db.AddUser(t, "a@example.com")
	a, err := s.Lookup(t.Context(), id)
	t.Log(a, err)
}
