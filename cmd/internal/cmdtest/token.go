package cmdtest

import (
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// JWTSecret signs the access tokens of the project.
const JWTSecret = "a secret of the project that has at least 32 characters"

// AccessToken returns one of a project that signs with JWTSecret.
func AccessToken(t *testing.T, user uuid.UUID, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{
		"sub": user.String(), "aud": "authenticated", "role": "authenticated", "email": "ada@example.com", "aal": "aal1",
		"exp": time.Now().Add(time.Hour).Unix(),
	}
	if change != nil {
		change(claims)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(JWTSecret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}
