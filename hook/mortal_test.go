package hook

import (
	"context"
	"errors"
	"sync"
	"time"

	"coderhook/coderclient"
	"coderhook/store"

	"github.com/google/uuid"
)

var errCrashed = errors.New("the process is no more")

// life is a process's. After so many calls of Coder or the database it ends, before or after the
// call did its work, and nothing that it still tries has any effect.
type life struct {
	mu    sync.Mutex
	calls int // that are left; 0: it does not end
	after bool
	ended bool
	end   func() // stops what the process still waits for
}

func (l *life) crashAfter(calls int, after bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.after = calls, after
}

func (l *life) dead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// step says whether the call is made, and whether its caller learns of it.
func (l *life) step() (made, learnt bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false, false
	}
	if l.calls == 0 {
		return true, true
	}
	if l.calls--; l.calls > 0 {
		return true, true
	}
	l.ended = true
	l.end()
	return l.after, false
}

func mortal[T any](l *life, call func() (T, error)) (T, error) {
	var none T
	made, learnt := l.step()
	if !made {
		return none, errCrashed
	}
	got, err := call()
	if !learnt {
		return none, errCrashed
	}
	return got, err
}

func (l *life) do(call func() error) error {
	_, err := mortal(l, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// mortalLedger is the database as a process sees it that may crash.
type mortalLedger struct {
	*store.Store
	*life
}

func (m mortalLedger) Lookup(ctx context.Context, id uuid.UUID) (store.Account, error) {
	return mortal(m.life, func() (store.Account, error) { return m.Store.Lookup(ctx, id) })
}

func (m mortalLedger) LookupSets(ctx context.Context, id uuid.UUID) (store.Account, error) {
	return mortal(m.life, func() (store.Account, error) { return m.Store.LookupSets(ctx, id) })
}

func (m mortalLedger) LookupSet(ctx context.Context, id uuid.UUID, set string) (store.Account, error) {
	return mortal(m.life, func() (store.Account, error) { return m.Store.LookupSet(ctx, id, set) })
}

func (m mortalLedger) DropSets(ctx context.Context, l store.Lease, until time.Time, sets []string, why string) error {
	return m.do(func() error { return m.Store.DropSets(ctx, l, until, sets, why) })
}

func (m mortalLedger) Claim(ctx context.Context, l store.Lease, ttl time.Duration) error {
	return m.do(func() error { return m.Store.Claim(ctx, l, ttl) })
}

func (m mortalLedger) Extend(ctx context.Context, l store.Lease, ttl time.Duration) error {
	if m.dead() { // its ticks are no steps of the work
		return errCrashed
	}
	return m.Store.Extend(ctx, l, ttl)
}

func (m mortalLedger) Release(ctx context.Context, l store.Lease) error {
	return m.do(func() error { return m.Store.Release(ctx, l) })
}

func (m mortalLedger) RecordUser(ctx context.Context, l store.Lease, id uuid.UUID, name string, made bool) error {
	return m.do(func() error { return m.Store.RecordUser(ctx, l, id, name, made) })
}

func (m mortalLedger) ForgetUser(ctx context.Context, l store.Lease) error {
	return m.do(func() error { return m.Store.ForgetUser(ctx, l) })
}

func (m mortalLedger) Reactivate(ctx context.Context, l store.Lease) error {
	return m.do(func() error { return m.Store.Reactivate(ctx, l) })
}

func (m mortalLedger) RecordFailure(ctx context.Context, l store.Lease, s store.Status, why string) error {
	return m.do(func() error { return m.Store.RecordFailure(ctx, l, s, why) })
}

func (m mortalLedger) RecordKey(ctx context.Context, l store.Lease, k store.Key) error {
	return m.do(func() error { return m.Store.RecordKey(ctx, l, k) })
}

func (m mortalLedger) StoreKey(ctx context.Context, l store.Lease, k store.Key) error {
	return m.do(func() error { return m.Store.StoreKey(ctx, l, k) })
}

func (m mortalLedger) GiveOut(ctx context.Context, id uuid.UUID, keyID string) error {
	return m.do(func() error { return m.Store.GiveOut(ctx, id, keyID) })
}

func (m mortalLedger) Orphan(ctx context.Context, l store.Lease) error {
	return m.do(func() error { return m.Store.Orphan(ctx, l) })
}

func (m mortalLedger) OwnerOf(ctx context.Context, id uuid.UUID) (uuid.UUID, error) {
	return mortal(m.life, func() (uuid.UUID, error) { return m.Store.OwnerOf(ctx, id) })
}

func (m mortalLedger) BeginCheck(ctx context.Context, id uuid.UUID, key string, now time.Time, d time.Duration) error {
	return m.do(func() error { return m.Store.BeginCheck(ctx, id, key, now, d) })
}

func (m mortalLedger) RefuseKey(ctx context.Context, id uuid.UUID, key string, now time.Time, why string) error {
	return m.do(func() error { return m.Store.RefuseKey(ctx, id, key, now, why) })
}

func (m mortalLedger) MarkSuspended(ctx context.Context, id uuid.UUID, key, why string) error {
	return m.do(func() error { return m.Store.MarkSuspended(ctx, id, key, why) })
}

func (m mortalLedger) RecordTokenLife(ctx context.Context, id uuid.UUID, d time.Duration) error {
	return m.do(func() error { return m.Store.RecordTokenLife(ctx, id, d) })
}

func (m mortalLedger) Retire(ctx context.Context, r store.Retired) error {
	return m.do(func() error { return m.Store.Retire(ctx, r) })
}

func (m mortalLedger) Retired(ctx context.Context, id uuid.UUID) ([]store.Retired, error) {
	return mortal(m.life, func() ([]store.Retired, error) { return m.Store.Retired(ctx, id) })
}

func (m mortalLedger) ForgetRetired(ctx context.Context, key string) error {
	return m.do(func() error { return m.Store.ForgetRetired(ctx, key) })
}

func (m mortalLedger) AuthUsers(ctx context.Context, ids []uuid.UUID) ([]store.AuthUser, error) {
	return mortal(m.life, func() ([]store.AuthUser, error) { return m.Store.AuthUsers(ctx, ids) })
}

func (m mortalLedger) Page(ctx context.Context, after uuid.UUID, limit int) ([]store.Entry, error) {
	return mortal(m.life, func() ([]store.Entry, error) { return m.Store.Page(ctx, after, limit) })
}

func (m mortalLedger) IntendSuspension(ctx context.Context, l store.Lease) error {
	return m.do(func() error { return m.Store.IntendSuspension(ctx, l) })
}

func (m mortalLedger) Offboard(ctx context.Context, l store.Lease, now time.Time) error {
	return m.do(func() error { return m.Store.Offboard(ctx, l, now) })
}

func (m mortalLedger) ReleaseTask(ctx context.Context, task store.Task, finished time.Time) error {
	return m.do(func() error { return m.Store.ReleaseTask(ctx, task, finished) })
}

// mortalCoder is Coder as a process sees it that may crash.
type mortalCoder struct {
	*coderclient.Client
	*life
}

func (m mortalCoder) CreateUser(ctx context.Context, u coderclient.NewUser) (coderclient.User, error) {
	return mortal(m.life, func() (coderclient.User, error) { return m.Client.CreateUser(ctx, u) })
}

func (m mortalCoder) User(ctx context.Context, name string) (coderclient.User, error) {
	return mortal(m.life, func() (coderclient.User, error) { return m.Client.User(ctx, name) })
}

func (m mortalCoder) Me(ctx context.Context, key string) (coderclient.User, error) {
	return mortal(m.life, func() (coderclient.User, error) { return m.Client.Me(ctx, key) })
}

func (m mortalCoder) Activate(ctx context.Context, id uuid.UUID) (coderclient.User, error) {
	return mortal(m.life, func() (coderclient.User, error) { return m.Client.Activate(ctx, id) })
}

func (m mortalCoder) Suspend(ctx context.Context, id uuid.UUID) (coderclient.User, error) {
	return mortal(m.life, func() (coderclient.User, error) { return m.Client.Suspend(ctx, id) })
}

func (m mortalCoder) DeleteUser(ctx context.Context, id uuid.UUID) error {
	return m.do(func() error { return m.Client.DeleteUser(ctx, id) })
}

func (m mortalCoder) CreateToken(ctx context.Context, id uuid.UUID, t coderclient.NewToken) (string, error) {
	return mortal(m.life, func() (string, error) { return m.Client.CreateToken(ctx, id, t) })
}

func (m mortalCoder) Tokens(ctx context.Context, id uuid.UUID) ([]coderclient.Key, error) {
	return mortal(m.life, func() ([]coderclient.Key, error) { return m.Client.Tokens(ctx, id) })
}

func (m mortalCoder) Key(ctx context.Context, id uuid.UUID, key string) (coderclient.Key, error) {
	return mortal(m.life, func() (coderclient.Key, error) { return m.Client.Key(ctx, id, key) })
}

func (m mortalCoder) DeleteKey(ctx context.Context, id uuid.UUID, key string) error {
	return m.do(func() error { return m.Client.DeleteKey(ctx, id, key) })
}
