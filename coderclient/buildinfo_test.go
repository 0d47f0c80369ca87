package coderclient_test

import (
	"testing"
	"time"

	"coderhook/coderclient/codertest"
)

// A clock that is wrong on their side is to be seen as it is.
func TestBuildInfoTellsCodersClock(t *testing.T) {
	t.Parallel()
	theirs := time.Date(2031, 2, 3, 4, 5, 6, 7, time.UTC)
	s := startCoder(t, codertest.ProfileNew, codertest.Clock(func() time.Time { return theirs }))
	info, err := clientOf(t, s, nil).BuildInfo(t.Context())
	if err != nil || !info.Date.Equal(theirs.Truncate(time.Second)) {
		t.Errorf("got %v, %v", info.Date, err)
	}
}

func TestBuildInfoWithoutADate(t *testing.T) {
	t.Parallel()
	s := startCoder(t, codertest.ProfileNew)
	s.Fail(codertest.Fault{Path: "/buildinfo", Status: 200, Body: `{"version":"v2.36.0"}`, Header: map[string][]string{"Date": {"yesterday"}}})
	info, err := clientOf(t, s, nil).BuildInfo(t.Context())
	if err != nil || !info.Date.IsZero() {
		t.Errorf("got %v, %v", info.Date, err)
	}
}
