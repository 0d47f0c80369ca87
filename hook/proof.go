package hook

import "context"

type proofKey struct{}

// WithProof returns a context for the requests of one connection, through which the listener learns which of its
// connections are not strangers'. For each request with a good signature or access token proven is called, and once
// that request is answered, the function that proven returned.
func WithProof(ctx context.Context, proven func() (answered func())) context.Context {
	return context.WithValue(ctx, proofKey{}, proven)
}

// proven tells the listener that the request's sender is known. The caller has to call answered.
func proven(ctx context.Context) (answered func()) {
	if tell, ok := ctx.Value(proofKey{}).(func() func()); ok {
		return tell()
	}
	return func() {}
}
