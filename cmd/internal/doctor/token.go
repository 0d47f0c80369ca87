package doctor

import (
	"context"
	"fmt"
	"io"
	"os"

	"coderhook/cmd/internal/config"
	"coderhook/hook/accesstoken"
	"coderhook/hook/policy"
)

// maxTokenFile is more than any request may hold, in bytes.
const maxTokenFile = 64 << 10

// checkToken says whether the front end's routes would let the token's bearer in.
func (d *Doctor) checkToken(ctx context.Context) {
	if d.TokenFile == "" {
		return
	}
	const check = "the token"
	token, err := readToken(d.TokenFile)
	switch {
	case err != nil:
		d.fail(check, cure{do: "write the access_token of a user's session into the file"}, "%v", err)
		return
	case d.config.Tokens == nil:
		d.fail(check, cure{do: "set SUPABASE_URL (or SUPABASE_JWT_SECRET)"}, "no access token is let in without")
		return
	}
	switch v := d.config.Tokens.Examine(ctx, d.config.Policy, token); {
	case v.Fault != nil && v.Claims == "":
		d.fail(check, cure{do: accesstoken.Cure(v.Fault)}, "would be refused: %v", v.Fault)
	case v.Fault != nil:
		d.fail(check, cure{do: accesstoken.Cure(v.Fault)}, "would be refused: %v. It says of itself, and that is not verified: %s", v.Fault, v.Claims)
	case v.Policy != "":
		d.fail(check, cure{do: policy.Cure(v.Policy)}, "is good (%s), but would be refused: %s. It has: %s", v.Bearer, v.Policy, v.Claims)
	default:
		d.ok(check, "would be let in: %s", v.Bearer)
	}
}

func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("--token: %w", config.Pathless(err))
	}
	defer file.Close() // nothing was written
	text, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err == nil && len(text) > maxTokenFile {
		err = fmt.Errorf("more than %d bytes, which is no token", maxTokenFile)
	}
	if err != nil {
		return "", fmt.Errorf("--token: %w", config.Pathless(err))
	}
	return string(text), nil
}
