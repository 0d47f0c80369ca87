package config

import (
	"net/url"
	"strings"
	"time"

	"coderhook/hook/accesstoken"
	"coderhook/hook/frontend"
)

// minJWTSecret is what an HMAC with SHA-256 wants at least, in bytes.
const minJWTSecret = 32

// Supabase is where access tokens come from.
type Supabase struct {
	URL       string // of the project, "" where it is not set
	JWTSecret string // with which tokens may be signed, likewise
}

// readAccessTokens says whose access tokens are taken. Without either variable there is no front end to serve.
func readAccessTokens(v *variables) (Supabase, *accesstoken.Verifier) {
	project := v.address("SUPABASE_URL", v.text("SUPABASE_URL", ""), "https", "http")
	if u, err := url.Parse(project); err != nil || strings.Trim(u.Path, "/") != "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		v.fault("SUPABASE_URL", "is more than a host; set the project's URL alone, like https://PROJECT.supabase.co")
	}
	secret := v.secret("SUPABASE_JWT_SECRET")
	issuers := accesstoken.Issuers(v.list("SUPABASE_JWT_ISSUER"))
	if err := issuers.Check(); err != nil {
		v.fault("SUPABASE_JWT_ISSUER", "%w", err)
	}
	switch {
	case secret == "" && project == "":
		return Supabase{}, nil
	case strings.HasPrefix(secret, "eyJ"):
		v.fault("SUPABASE_JWT_SECRET", "is a JWT, as the anon and service_role keys are; set the secret with which tokens are signed")
	case secret != "" && len(secret) < minJWTSecret:
		v.fault("SUPABASE_JWT_SECRET", "is too weak: it has %d bytes, at least %d are needed; copy it from the project's settings (JWT keys)", len(secret), minJWTSecret)
	}
	tokens := accesstoken.New(project, secret, time.Now)
	if len(issuers) > 0 {
		tokens.Issuers = issuers
	}
	return Supabase{URL: project, JWTSecret: secret}, tokens
}

func readCORS(v *variables) frontend.CORS {
	cors := frontend.CORS{
		Origins:     frontend.NormalOrigins(v.list("CORS_ORIGINS")),
		Headers:     v.list("CORS_HEADERS"),
		Credentials: v.oneOf("CORS_CREDENTIALS", "false", "true") == "true",
	}
	if err := cors.Check(); err != nil {
		v.fault("CORS_ORIGINS", "%w", err)
	}
	if err := cors.CheckHeaders(); err != nil {
		v.fault("CORS_HEADERS", "%w", err)
	}
	return cors
}
