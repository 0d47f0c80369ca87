package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	"coderhook/cmd/internal/bench/load"
	"coderhook/cmd/internal/process"
)

// poolSize is how many connections to the database each server has at most: coderhook's own default.
const poolSize = 10

// contender is one way to do the job.
type contender struct {
	name   string
	server load.Server
}

// hooked is a contender that Supabase Auth posts to.
func (w *world) hooked(name string, p *program) contender {
	return contender{name, load.HTTP{Addr: p.addr, Secret: w.secret, Users: w.users}}
}

// buildCoderhook builds it as it is shipped.
func (w *world) buildCoderhook(ctx context.Context) error {
	return process.Build(ctx, w.root, "./cmd/coderhook", w.binary("coderhook"))
}

func (w *world) binary(name string) string { return filepath.Join(w.dir, name) }

// startCoderhook starts it with its defaults, and waits until it is ready.
func (w *world) startCoderhook(ctx context.Context, admin string) (*program, error) {
	p, err := start(nil, append(w.env(),
		"ADMIN_ADDR="+admin, "DRAIN_DELAY=0s", "CODER_URL="+w.coder.URL, "CODER_OWNER_TOKEN="+w.coder.OwnerToken,
	), w.binary("coderhook"), "serve")
	if err != nil {
		return nil, err
	}
	w.onClose(p.stop)
	return p, p.await(ctx, "/readyz", http.StatusOK)
}

// env is what all servers need to know.
func (w *world) env() []string {
	return []string{"DATABASE_URL=" + w.hookURL, "CUSTOM_ACCESS_TOKEN_HOOK_SECRETS=" + w.secret}
}

func (w *world) startFloor(ctx context.Context) (contender, error) {
	if err := process.Build(ctx, w.root, "./cmd/internal/bench/floor", w.binary("floor")); err != nil {
		return contender{}, err
	}
	p, err := start(os.Stderr, w.env(), w.binary("floor"))
	if err != nil {
		return contender{}, err
	}
	w.onClose(p.stop)
	return w.hooked("floor", p), p.await(ctx, "/", http.StatusNotFound)
}

var errNoDeno = errors.New("no Deno, so it is left out: npm ci --prefix testdata/bench")

func (w *world) startDeno(ctx context.Context) (contender, error) {
	folder := filepath.Join(w.root, "testdata/bench")
	program := filepath.Join(folder, "node_modules/deno/deno")
	if _, err := os.Stat(program); err != nil {
		return contender{}, errNoDeno
	}
	p, err := start(os.Stderr, append(w.env(), "DENO_NO_UPDATE_CHECK=1"),
		program, "run", "--quiet", "--no-lock", "--allow-env", "--allow-net", "--allow-read", filepath.Join(folder, "edge.ts"))
	if err != nil {
		return contender{}, err
	}
	w.onClose(p.stop)
	return w.hooked("deno", p), p.await(ctx, "/", http.StatusUnauthorized)
}
