package hook

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"coderhook/hook/authtest"
	"coderhook/store/storetest"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// authServer stands in for Supabase Auth's REST API, as far as supabase-js uses it here. It
// calls the hook on every mint, and signs what comes back.
type authServer struct {
	t       testing.TB
	db      *storetest.DB
	keys    *authtest.Issuer
	signer  *ecdsa.PrivateKey
	hook    string // set once the hook runs
	url     string
	control func(what string, a *authAccount) (answer string, err error)

	mu       sync.Mutex
	accounts map[string]*authAccount // by e-mail
	sessions map[string]*authAccount // by refresh token
}

// authAccount is a signed-up user. The switches hold for one mint.
type authAccount struct {
	id, session          uuid.UUID
	email                string
	refreshes            int
	withoutHook, expired bool
	withoutEmail         bool
}

func newAuthServer(t testing.TB, db *storetest.DB) *authServer {
	t.Helper()
	a := &authServer{
		t: t, db: db, keys: new(authtest.Issuer),
		accounts: make(map[string]*authAccount), sessions: make(map[string]*authAccount),
	}
	var public map[string]any
	a.signer, public = authtest.NewECKey(t, "ec")
	a.keys.Publish(public)
	mux := http.NewServeMux()
	mux.Handle("GET /auth/v1/.well-known/jwks.json", a.keys)
	mux.HandleFunc("POST /auth/v1/signup", a.signUp)
	mux.HandleFunc("POST /auth/v1/token", a.refresh)
	mux.HandleFunc("POST /auth/v1/logout", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("POST /control/{what}", a.controlled)
	server := httptest.NewServer(forAnyOrigin(mux))
	t.Cleanup(server.Close)
	a.url, a.keys.Url = server.URL, server.URL
	return a
}

// forAnyOrigin is what Supabase's gateway does.
func forAnyOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
		}
	})
}

func (a *authServer) signUp(w http.ResponseWriter, r *http.Request) {
	var body struct{ Email string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Email == "" {
		http.Error(w, `{"msg":"bad request"}`, http.StatusBadRequest)
		return
	}
	account := &authAccount{id: a.db.AddUser(a.t, body.Email), session: uuid.New(), email: body.Email}
	a.db.Exec(a.t, `insert into auth.sessions (id, user_id) values ($1, $2)`, account.session, account.id)
	a.mu.Lock()
	a.accounts[body.Email] = account
	a.mu.Unlock()
	a.answer(w, account)
}

func (a *authServer) refresh(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"refresh_token"`
	}
	_ = json.NewDecoder(r.Body).Decode(&body) // an empty one is not known
	a.mu.Lock()
	account := a.sessions[body.Token]
	if account != nil {
		account.refreshes++
		delete(a.sessions, body.Token) // it is good for one use
	}
	a.mu.Unlock()
	if account == nil || r.URL.Query().Get("grant_type") != "refresh_token" {
		http.Error(w, `{"code":400,"error_code":"refresh_token_not_found","msg":"Invalid Refresh Token"}`, http.StatusBadRequest)
		return
	}
	a.answer(w, account)
}

// answer sends a session. Its user is the one that is stored: the hook changes only the token.
func (a *authServer) answer(w http.ResponseWriter, account *authAccount) {
	token, err := a.mint(account)
	if err != nil {
		http.Error(w, `{"code":500,"msg":"Error running hook"}`, http.StatusInternalServerError)
		a.t.Error(err)
		return
	}
	refresh := uuid.NewString()
	a.mu.Lock()
	a.sessions[refresh] = account
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": token, "token_type": "bearer", "expires_in": 3600,
		"expires_at": time.Now().Add(time.Hour).Unix(), "refresh_token": refresh,
		"user": map[string]any{
			"id": account.id, "aud": "authenticated", "role": "authenticated", "email": account.email,
			"app_metadata": map[string]any{"provider": "email"}, "user_metadata": map[string]any{}, "created_at": time.Now(),
		},
	})
}

func (a *authServer) mint(account *authAccount) (string, error) {
	a.mu.Lock()
	withoutHook, expired, email := account.withoutHook, account.expired, account.email
	if account.withoutEmail {
		email = ""
	}
	account.withoutHook, account.expired, account.withoutEmail = false, false, false
	a.mu.Unlock()
	minted := claimsOf(account.id, email)
	minted["iss"], minted["session_id"], minted["app_metadata"] = a.url+"/auth/v1", account.session, map[string]any{"provider": "email"}
	if !withoutHook {
		var err error
		if minted, err = a.askHook(account, minted); err != nil {
			return "", err
		}
	}
	if expired {
		minted["exp"] = time.Now().Add(-time.Minute).Unix()
	}
	return authtest.Issue(a.t, jwt.SigningMethodES256, "ec", a.signer, minted), nil
}

func (a *authServer) askHook(account *authAccount, claims map[string]any) (map[string]any, error) {
	body, err := json.Marshal(map[string]any{"user_id": account.id, "claims": claims, "authentication_method": "password"})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, a.hook+"/hooks/custom-access-token", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = authtest.Sign(a.t, authtest.SecretA, uuid.NewString(), time.Now(), body)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var answer struct{ Claims map[string]any }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Claims == nil {
		return nil, fmt.Errorf("the hook answers %s: %w", response.Status, err)
	}
	return answer.Claims, nil
}

// controlled lets the tests in Node do what they can't do themselves.
func (a *authServer) controlled(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	account, ok := a.accounts[r.URL.Query().Get("email")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	var answer string
	var err error
	switch what := r.PathValue("what"); what {
	case "refreshes":
		answer = fmt.Sprint(account.refreshes)
	case "without-hook":
		account.withoutHook = true
	case "without-email":
		account.withoutEmail = true
	case "expired-token":
		account.expired = true
	default:
		answer, err = a.control(what, account)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, answer)
}
