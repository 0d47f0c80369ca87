// Package proof tells a listener which of its connections are not strangers'.
package proof

import "context"

type key struct{}

// NewContext returns a context for the requests of one connection. For each request with a good signature or access
// token proven is called, and once that request is answered, the function that proven returned.
func NewContext(ctx context.Context, proven func() (answered func())) context.Context {
	return context.WithValue(ctx, key{}, proven)
}

// Give tells the listener that the request's sender is known. The caller has to call answered.
func Give(ctx context.Context) (answered func()) {
	if tell, ok := ctx.Value(key{}).(func() func()); ok {
		return tell()
	}
	return func() {}
}
