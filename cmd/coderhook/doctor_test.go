package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"coderhook/cmd/internal/cmdtest"
	"coderhook/coderclient/codertest"
)

// Its words are for people, its status is for scripts, and nothing is said twice.
func TestDoctorAsAProgram(t *testing.T) {
	t.Parallel()
	binary, err := cmdtest.Build()
	if err != nil {
		t.Fatal(err)
	}
	w := cmdtest.NewDeployment(t, codertest.Start(codertest.ProfileV231))
	for _, test := range []struct {
		broken string
		status int
		want   []string
	}{
		{`select 1`, 0, []string{"ok       database: PostgreSQL", "failures: 0, warnings: 0"}},
		{`drop policy coderhook_update on public.profiles`, 1, []string{"failure  profiles table: row level security", "         cure: run `coderhook migrate`", "failures: 1"}},
	} {
		w.DB.Script(t, test.broken)
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "doctor")
		for name, value := range w.Variables {
			cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s", name, value))
		}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		if got := cmd.ProcessState.ExitCode(); got != test.status || stderr.String() != "" {
			t.Errorf("status %d, on stderr %q", got, stderr.String())
		}
		for _, text := range test.want {
			if !strings.Contains(string(out), text) {
				t.Errorf("%q is not in\n%s", text, out)
			}
		}
	}
}
