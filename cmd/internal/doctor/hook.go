package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/sender"
	"coderhook/hook"
	"coderhook/hook/webhook"

	"github.com/google/uuid"
)

// localHosts are the only ones to which Supabase Auth speaks plain http.
var localHosts = []string{"localhost", "127.0.0.1", "::1", sender.DockerHost}

func isLocal(host string) bool { return slices.Contains(localHosts, host) }

// checkHook calls the running hook as Supabase Auth does, and as nobody should.
func (d *Doctor) checkHook(ctx context.Context) {
	if !d.checkHookURL(ctx) {
		return
	}
	secrets := d.config.Secrets
	if len(secrets) == 0 {
		return // the fault is reported
	}
	for n, secret := range secrets {
		if !d.checkAccepted(ctx, n+1, secret) {
			return
		}
	}
	d.checkRefused(ctx, secrets[0])
}

// checkHookURL applies Supabase Auth's own rules.
func (d *Doctor) checkHookURL(ctx context.Context) bool {
	const check = "hook's address"
	u, err := url.Parse(d.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		d.fail(check, cure{do: "write it like https://YOUR-HOST/hooks/custom-access-token"}, "is not a URL with https:// and a host (skipped because of this: the running hook)")
		return false
	case u.Scheme == "http" && !isLocal(u.Hostname()):
		d.fail(check, cure{do: "use https://; for a project on this machine, http:// and one of " + strings.Join(localHosts, ", ")},
			"Supabase Auth refuses http:// for %s (skipped because of this: the running hook)", u.Hostname())
		return false
	}
	d.checkReach(ctx, check, u)
	return true
}

// checkReach tells where Supabase Auth, which for a project on this machine is in a container, comes to with such an address.
func (d *Doctor) checkReach(ctx context.Context, check string, u *url.URL) {
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	switch host := u.Hostname(); {
	case host == sender.DockerHost && runtime.GOOS == "linux" && d.onlyLoopback(ctx, port):
		d.fail(check, cure{do: "let the server listen on all interfaces: set LISTEN_ADDR=:" + port + " and restart it"},
			"containers reach this machine at %s, but at port %s only its own loopback is listened at", sender.DockerHost, port)
	case host != sender.DockerHost && isLocal(host) && d.elsewhere:
		d.warn(check, cure{do: fmt.Sprintf("name the server as Supabase Auth reaches it, there and in --url: from a container on this machine http://%s:%s%s, with LISTEN_ADDR=:%s; from elsewhere https:// and its name", sender.DockerHost, port, u.Path, port)},
			"the project's database is in a container or on another machine, and so is Supabase Auth: there %s is not this machine", host)
	default:
		d.ok(check, "Supabase Auth takes it")
	}
}

// onlyLoopback reports whether a server listens here where containers can't come in.
func (d *Doctor) onlyLoopback(ctx context.Context, port string) bool {
	if !listens(ctx, "127.0.0.1", port) {
		return false // the call will tell
	}
	others := otherAddresses()
	for _, address := range others {
		if listens(ctx, address, port) {
			return false
		}
	}
	host, _, _ := net.SplitHostPort(d.config.Listen)
	ip := net.ParseIP(host)
	return len(others) > 0 || ip != nil && ip.IsLoopback()
}

// otherAddresses returns those of this machine besides loopback's.
func otherAddresses() (all []string) {
	addresses, _ := net.InterfaceAddrs() // none is an answer
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() && network.IP.To4() != nil {
			all = append(all, network.IP.String())
		}
	}
	return all
}

func listens(ctx context.Context, host, port string) bool {
	dialer := &net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// checkAccepted sends an event that the server echoes by policy: an anonymous user has no key. It
// proves address, signature and answer, and makes nothing, here or in Coder.
func (d *Doctor) checkAccepted(ctx context.Context, n int, secret string) bool {
	check := fmt.Sprintf("signed call, secret %d", n)
	event, claims := d.harmlessEvent()
	began := d.Now()
	got, err := d.call(ctx, event, secret, d.Now())
	took := d.Now().Sub(began)
	if n == 1 && got.Status == http.StatusOK {
		d.lastIssuer(got)
	}
	const skipped = " (skipped because of this: calls that must be refused)"
	switch {
	case err != nil:
		d.fail(check, cure{do: "see that the server runs and that this address leads to it"}, "%v%s", err, skipped)
	case got.Status == http.StatusUnauthorized:
		d.fail(check, cure{do: "restart the running server with the " + config.SecretsVariable + " of here, or set it here to the one of there; and see that both clocks are right"}, "refused: %s%s", got.Text(), skipped)
	case got.Status == http.StatusInternalServerError && d.config.Database.ChainHook != "":
		d.fail(check, cure{do: "see what the server's log says of the chained hook"}, "the chained hook fails for a user who does not exist, or for all: %s%s", got.Text(), skipped)
	case got.Status != http.StatusOK:
		d.fail(check, cure{do: "the path must be /hooks/custom-access-token, and nothing in between may change the request, or redirect it but by 307 or 308"}, "answered with status %d: %s%s", got.Status, got.Text(), skipped)
	case !got.Echoes(claims) && d.config.Database.ChainHook == "":
		d.fail(check, cure{do: "see what answers at this address, and whether something in between changes bodies"}, "answered with other claims than were sent: %s%s", got.Text(), skipped)
	case got.Redirected != "":
		d.warn(check, cure{do: "set the address to which it leads as the hook's, in Supabase and in --url"}, "accepted, but only after a redirect to %s, which each sign-in follows", got.Redirected)
		return true
	case took > time.Second:
		d.warn(check, cure{do: "bring the server nearer to Supabase Auth, which waits for five seconds at most"}, "accepted, but only after %s", took.Round(time.Millisecond))
		return true
	case !got.Echoes(claims):
		d.ok(check, "accepted, and the claims came back as the chained hook made them, in %s", took.Round(time.Millisecond))
		return true
	default:
		d.ok(check, "accepted, and the claims came back unchanged, in %s", took.Round(time.Millisecond))
		return true
	}
	return false
}

// checkRefused makes the calls that must be answered with 401.
func (d *Doctor) checkRefused(ctx context.Context, secret string) {
	event, _ := d.harmlessEvent()
	stranger := make([]byte, 32)
	_, _ = rand.Read(stranger) // never fails
	for _, call := range []struct {
		name, secret string
		at           time.Time
	}{
		{"unsigned call", "", d.Now()},
		{"stale call", secret, d.Now().Add(-10 * time.Minute)},
		{"call with a wrong secret", "v1,whsec_" + base64.StdEncoding.EncodeToString(stranger), d.Now()},
	} {
		got, err := d.call(ctx, event, call.secret, call.at)
		switch {
		case err != nil:
			d.fail(call.name, cure{do: "see that the server runs and that this address leads to it"}, "%v", err)
		case got.Status != http.StatusUnauthorized:
			d.fail(call.name, cure{do: "see what answers at this address: coderhook refuses such a call with 401"}, "answered with status %d instead of 401", got.Status)
		default:
			d.ok(call.name, "refused")
		}
	}
}

// harmlessEvent returns an event of an anonymous user who does not exist. The method makes it known in the server's log.
func (d *Doctor) harmlessEvent() (event, claims []byte) {
	user, now := uuid.NewString(), d.Now().Unix()
	claims = fmt.Appendf(nil, `{"aud":"authenticated","exp":%d,"iat":%d,"sub":%q,"email":"","phone":"","app_metadata":{},"user_metadata":{},"role":"authenticated","aal":"aal1","session_id":%q,"is_anonymous":true}`,
		now+60, now, user, uuid.NewString())
	return fmt.Appendf(nil, `{"user_id":%q,"claims":%s,"authentication_method":%q}`, user, claims, hook.DoctorMethod), claims
}

// call posts the event, signed at that time; without a secret it is not signed.
func (d *Doctor) call(ctx context.Context, event []byte, secret string, at time.Time) (sender.Answer, error) {
	header := http.Header{}
	if secret != "" {
		var err error
		if header, err = webhook.Sign(secret, uuid.NewString(), at, event); err != nil {
			return sender.Answer{}, fmt.Errorf("%s: %w", config.SecretsVariable, err)
		}
	}
	return sender.Post(ctx, d.URL, event, header)
}
