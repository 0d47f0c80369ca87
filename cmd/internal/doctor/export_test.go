package doctor

import "context"

// MaxTokenFile is how many bytes a file with a token may have.
const MaxTokenFile = maxTokenFile

// CheckHook calls the hook with that secret, and looks at nothing else.
func (d *Doctor) CheckHook(ctx context.Context, secret string) {
	d.config.Secrets = []string{secret}
	d.checkHook(ctx)
}
