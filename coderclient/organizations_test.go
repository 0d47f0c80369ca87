package coderclient_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"coderhook/coderclient"
	"coderhook/coderclient/codertest"
)

func TestDefaultOrganizationOnEveryProfile(t *testing.T) {
	t.Parallel()
	onEachProfile(t, func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		o, err := c.DefaultOrganization(t.Context())
		if err != nil || o.ID != s.OrganizationID() || !o.IsDefault || o.Name == "" {
			t.Errorf("%+v, %v", o, err)
		}
	})
}

func TestDefaultOrganizationOfTheOldest(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.Profile2023, codertest.Oldest())
	o, err := clientOf(t, s, nil).DefaultOrganization(t.Context())
	if err != nil || o.ID != s.OrganizationID() {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestDefaultOrganizationAmongSeveral(t *testing.T) {
	t.Parallel()
	const one, two = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
	org := func(id, rest string) string { return fmt.Sprintf(`{"id":%q,"name":"n"%s}`, id, rest) }
	for name, test := range map[string]struct{ list, byName, want string }{
		"told":         {"[" + org(one, `,"is_default":false`) + "," + org(two, `,"is_default":true`) + "]", "", two},
		"not a member": {"[" + org(one, `,"is_default":false`) + "]", org(two, `,"is_default":true`), two},
		"of none":      {"[]", org(two, `,"is_default":true`), two},
		"not told": {
			"[" + org(one, `,"created_at":"2023-02-01T00:00:00Z"`) + "," + org(two, `,"created_at":"2023-01-01T00:00:00Z"`) + "]",
			"", two,
		},
	} {
		s, _ := scripted(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/v2/organizations/default" {
				answerAs(w, 200, test.byName)
				return
			}
			answerAs(w, 200, test.list)
		})
		o, err := newClient(t, s.URL, nil).DefaultOrganization(t.Context())
		if err != nil || o.ID.String() != test.want {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

func TestOrganization(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, s *codertest.Server, c *coderclient.Client) {
		want, err := c.DefaultOrganization(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{want.Name, want.ID.String()} {
			if o, err := c.Organization(t.Context(), name); err != nil || o.ID != want.ID {
				t.Errorf("%s: %+v, %v", name, o, err)
			}
		}
		for _, name := range []string{"nothing", uuid.NewString(), "", "a/b", ".."} {
			if o, err := c.Organization(t.Context(), name); !errors.Is(err, coderclient.ErrNotFound) {
				t.Errorf("%q: want ErrNotFound: %+v, %v", name, o, err)
			}
		}
	}
	onEachProfile(t, test)
	t.Run("oldest", func(t *testing.T) {
		t.Parallel()
		s := startCoder(t, codertest.Profile2023, codertest.Oldest())
		test(t, s, clientOf(t, s, nil))
	})
}

func TestUnknownOrganizationOfANewUser(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	_, err := clientOf(t, s, nil).CreateUser(t.Context(), coderclient.NewUser{
		Username: "alice", Email: "alice@example.test", Organization: uuid.New(),
	})
	if !errors.Is(err, coderclient.ErrRefused) || errors.Is(err, coderclient.ErrNotFound) {
		t.Errorf("want ErrRefused only: %v", err)
	}
}
