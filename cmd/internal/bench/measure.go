package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"coderhook/cmd/internal/bench/load"
	"coderhook/cmd/internal/process"
)

// connections are how many ask at a time.
var connections = []int{1, 16}

// measure starts everything, measures, and prints as it goes.
func measure(ctx context.Context, root string, o options, out io.Writer) (_ *results, err error) {
	w, err := newWorld(ctx, root, o.users)
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return nil, err
	}
	r := newResults(out)
	if err := w.buildCoderhook(ctx); err != nil {
		return nil, err
	}
	coderhook, err := w.timeStarts(ctx, o, r)
	if err != nil {
		return nil, err
	}
	contenders, err := w.contenders(ctx, coderhook)
	if err != nil {
		return nil, err
	}
	minted, err := w.rounds(ctx, contenders, o, r)
	if err != nil {
		return nil, err
	}
	if err := w.fill(ctx, contenders[0], coderhook, minted, o, r); err != nil {
		return nil, err
	}
	return r, benchHandler(ctx, root, o, r)
}

// timeStarts starts coderhook so often, and leaves the last one running.
func (w *world) timeStarts(ctx context.Context, o options, r *results) (last *program, err error) {
	for range o.starts {
		if last != nil {
			if err := last.stop(); err != nil {
				return nil, err
			}
		}
		began := time.Now()
		if last, err = w.startCoderhook(ctx, o.admin); err != nil {
			return nil, err
		}
		r.add(startName, 1, metric{float64(time.Since(began)), unitTime})
	}
	return last, nil
}

// contenders starts the others. Coderhook is the first of them.
func (w *world) contenders(ctx context.Context, coderhook *program) ([]contender, error) {
	floor, err := w.startFloor(ctx)
	if err != nil {
		return nil, err
	}
	function, err := openFunction(ctx, w)
	if err != nil {
		return nil, err
	}
	all := []contender{w.hooked("coderhook", coderhook), floor, {"plpgsql", function}}
	deno, err := w.startDeno(ctx)
	if errors.Is(err, errNoDeno) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return all, nil
	}
	return append(all, deno), err
}

// rounds lets them take turns, each time in another order, and returns how many tokens coderhook has minted. A turn
// begins with some warming up that does not count: the system takes memory away from who is idle.
func (w *world) rounds(ctx context.Context, contenders []contender, o options, r *results) (minted int, err error) {
	order := slices.Clone(contenders)
	for n := range o.rounds + 1 {
		for _, conns := range connections {
			for _, c := range order {
				warm, err := load.Run(ctx, c.server, w.users, load.Round{Conns: conns, For: o.round / 2})
				if err != nil {
					return 0, fmt.Errorf("%s: %w", c.name, err)
				}
				result, err := load.Run(ctx, c.server, w.users, load.Round{Conns: conns, For: o.round})
				if err != nil {
					return 0, fmt.Errorf("%s: %w", c.name, err)
				}
				if c.name == "coderhook" {
					minted += warm.Mints + result.Mints
				}
				if n > 0 { // in the first one everybody warms up
					r.addMints(c.name, conns, result)
				}
			}
		}
		order = append(order[1:], order[0])
	}
	return minted, nil
}

// fill lets coderhook mint what is missing of so many tokens, and reads its memory.
func (w *world) fill(ctx context.Context, c contender, p *program, minted int, o options, r *results) error {
	for minted < o.mints {
		// In parts, as the requests are signed at the begin of each, and signatures get old.
		round := load.Round{Conns: slices.Max(connections), Mints: min(o.mints-minted, 100_000)}
		result, err := load.Run(ctx, c.server, w.users, round)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		minted += result.Mints
	}
	size, err := p.Resident()
	if errors.Is(err, process.ErrNoProc) {
		return nil
	}
	r.add(memoryName, 1, metric{float64(size), unitSize}, metric{float64(minted), unitCount})
	return err
}
