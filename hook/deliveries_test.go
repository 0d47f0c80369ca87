package hook

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"coderhook/hook/authtest"

	"github.com/google/uuid"
)

func TestDeliveries(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795417649, 0)
	d := new(deliveries)
	for _, step := range []struct {
		id    string
		after time.Duration
		want  bool
	}{
		{"a", 0, true},
		{"a", time.Second, true}, // a balancer
		{"b", 2 * time.Second, true},
		{"a", repeatable, true},
		{"a", repeatable + 1, false},
		{"a", 9 * time.Minute, false}, // a repetition does not prolong it
		{"b", 9 * time.Minute, false},
		{"c", 9 * time.Minute, true},
		{"c", 9*time.Minute - time.Second, true},
		{"c", -time.Hour, false}, // by a clock that was put back
	} {
		if got := d.take(step.id, now.Add(step.after)); got != step.want {
			t.Errorf("%s after %s: %v", step.id, step.after, got)
		}
	}
}

func TestDeliveriesAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795417649, 0)
	d := new(deliveries)
	for i := range 3 * rememberedDeliveries {
		if !d.take(strconv.Itoa(i), now) {
			t.Fatalf("the first %d is refused", i)
		}
	}
	if len(d.first) != rememberedDeliveries || len(d.order) != rememberedDeliveries {
		t.Errorf("%d and %d", len(d.first), len(d.order))
	}
	if last := strconv.Itoa(3*rememberedDeliveries - 1); d.take(last, now.Add(time.Minute)) {
		t.Error("the last is forgotten")
	}
}

// Who finds a signed request in a log gets no key for it, though its signature is good for five minutes.
func TestAStolenDeliveryIsNotAnswered(t *testing.T) {
	t.Parallel()
	w, c, key := newbie(t, patient())
	body := w.eventOf(t, ada, "ada@example.com")
	header := authtest.Sign(t, authtest.SecretA, uuid.NewString(), w.Now(), body)
	if got := w.post(t, body, header.Clone()); got.key(t) != key {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := w.post(t, body, header.Clone()); got.key(t) != key { // by a balancer
		t.Fatalf("%d %s", got.status, got.body)
	}
	c.Advance(time.Minute)
	if got := w.post(t, body, header.Clone()); got.status != http.StatusUnauthorized {
		t.Errorf("%d %s", got.status, got.body)
	}
	// The next attempt of Supabase Auth has the same body and another id.
	if got := w.post(t, body, authtest.Sign(t, authtest.SecretA, uuid.NewString(), w.Now(), body)); got.key(t) != key {
		t.Errorf("%d %s", got.status, got.body)
	}
	// A stranger can't use up somebody's id: what is not signed is not remembered.
	id := uuid.NewString()
	forged := authtest.Sign(t, authtest.SecretA, id, w.Now(), body)
	forged.Set("Webhook-Signature", "v1,AAAA")
	if got := w.post(t, body, forged); got.status != http.StatusUnauthorized {
		t.Errorf("%d %s", got.status, got.body)
	}
	c.Advance(time.Minute)
	if got := w.post(t, body, authtest.Sign(t, authtest.SecretA, id, w.Now(), body)); got.key(t) != key {
		t.Errorf("%d %s", got.status, got.body)
	}
}
