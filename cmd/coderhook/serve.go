package main

import (
	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/serve"
)

type serveCmd struct{}

// Run serves until the context ends, then drains.
func (serveCmd) Run(env *environment) error {
	c, err := config.Read(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	return serve.Run(env.ctx, serve.Options{
		Config: c, Getenv: env.getenv, Version: version, Commit: builtFrom(), Log: c.Logging.Logger(env.stderr), Stdout: env.stdout,
	})
}
