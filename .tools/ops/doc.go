// Package ops tries what testdata/ops installs with the tools that read it: Helm's own engine and linter, the types of
// Kubernetes' API, and Compose's loader. It is a module of its own, so that the product's go.mod stays as small as the product.
//
//	go -C .tools/ops test -count=1 ./...   (Go does not see that files outside of a module have changed)
package ops
