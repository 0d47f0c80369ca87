package main

import (
	"context"
	"strings"
)

// showUse prints what a developer pastes next.
func (s *stack) showUse() {
	_, port, _ := strings.Cut(s.server.address(), ":")
	s.out.title("Put it behind your own `supabase start`")
	s.out.line("  Into supabase/config.toml:\n")
	s.out.line("    [auth.hook.custom_access_token]")
	s.out.line("    enabled = true")
	s.out.line(`    uri = "http://host.docker.internal:%s/hooks/custom-access-token"`, port)
	s.out.line(`    secrets = "%s"`, s.secret)
	s.out.title("Or send the request by hand (the signature is valid for five minutes)")
	s.out.line("%s", s.curl())
	s.out.title("Serving. Ctrl-C ends it. From here on: the server's log")
}

// curl is the sample request as a command for the shell.
func (s *stack) curl() string {
	r, err := s.signed(context.Background())
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	text.WriteString("  curl -sS " + r.URL.String())
	for _, name := range []string{"Content-Type", "webhook-id", "webhook-timestamp", "webhook-signature"} {
		text.WriteString(" \\\n    -H '" + name + ": " + r.Header.Get(name) + "'")
	}
	text.WriteString(" \\\n    --data-binary '" + strings.ReplaceAll(string(s.event), "'", `'\''`) + "'")
	return text.String()
}
