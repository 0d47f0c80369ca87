package hook

import "context"

type proofKey struct{}

// WithProof returns a context for the requests of one connection: proven is called for each whose sender has proved to
// know a secret, or to have a token, and what it returns when that request is answered. So the listener learns which of
// its connections are not strangers'.
func WithProof(ctx context.Context, proven func() (answered func())) context.Context {
	return context.WithValue(ctx, proofKey{}, proven)
}

// proven tells the listener, if it wants to know.
func proven(ctx context.Context) (answered func()) {
	if tell, ok := ctx.Value(proofKey{}).(func() func()); ok {
		return tell()
	}
	return func() {}
}
