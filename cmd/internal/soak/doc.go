// Package soak has only a test: two replicas of coderhook as processes, a real PostgreSQL and the
// fake Coder serve a mixed load while each of them fails at random, and then everything must be
// as if nothing had happened.
//
//	go test -race ./cmd/internal/soak -run TestSoak -soak.time 5m -soak.seed 42 -timeout 1h -v
//
// All faults are drawn from the seed before it begins; a failure prints both. Without flags it is
// short, and the seed is 1. Another kind of fault changes what every seed draws.
package soak
