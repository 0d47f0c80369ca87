package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"coderhook/cmd/internal/config"
	"coderhook/cmd/internal/progress"
	"coderhook/hook/pace"
	"coderhook/store"

	"github.com/google/uuid"
)

type rotateCmd struct {
	DryRun  bool   `help:"Only count."`
	Decrypt bool   `help:"Write all keys in plain: the way back. The servers go on to encrypt, unless their KEY_ENCRYPTION_KEYS begins with plain."`
	Forget  string `placeholder:"ID" help:"An encryption key is lost: what it encrypted is replaced by the next mints."`
	Yes     bool   `help:"With --forget: do not ask."`
}

// Run encrypts the keys in the profiles with the newest encryption key. Broken off, the next run does what is left.
func (cmd *rotateCmd) Run(env *environment) error {
	c, err := config.ReadDatabase(env.getenv)
	if err != nil {
		return config.Explain(err)
	}
	database, err := store.Open(env.ctx, c)
	if err != nil {
		return err
	}
	defer database.Close()
	if cmd.Forget != "" {
		return cmd.forget(env, database)
	}
	if !cmd.Decrypt && (len(c.EncryptionKeys) == 0 || c.EncryptionKeys[0] == store.WriteInPlain) {
		return fmt.Errorf("%s does not begin with a key: there is nothing to encrypt with (make one with: %s; --decrypt is the way back)",
			config.EncryptionKeysVariable, config.MakeEncryptionKey)
	}
	census, err := database.EncryptionCensus(env.ctx)
	if err != nil {
		return err
	}
	tellCensus(env.stdout, census)
	r := &rotation{database: database, out: env.stdout, how: store.Reencryption{Decrypt: cmd.Decrypt, Dry: cmd.DryRun}, all: census.Plain + census.Older}
	if cmd.Decrypt {
		r.all = census.Newest + census.Older
	}
	return r.run(env.ctx)
}

func tellCensus(w io.Writer, c store.EncryptionCensus) {
	fmt.Fprintf(w, "%d keys are plain, %d encrypted with the newest key, %d with others that are here.\n", c.Plain, c.Newest, c.Older)
	for _, id := range slices.Sorted(maps.Keys(c.Missing)) {
		fmt.Fprintf(w, "%d are encrypted with %s, which is not in %s.\n", c.Missing[id], id, config.EncryptionKeysVariable)
	}
	if c.Nobodys > 0 {
		fmt.Fprintf(w, "%d name an encryption key that nobody has: they were planted, and the next mints replace them.\n", c.Nobodys)
	}
}

func (cmd *rotateCmd) forget(env *environment, database *store.Store) error {
	if !cmd.Yes {
		question := fmt.Sprintf("What was encrypted with %s is replaced by new keys. Is that encryption key lost?", cmd.Forget)
		if err := confirm(os.Stdin, env.stdout, question); err != nil {
			return fmt.Errorf("not forgotten: %w", err)
		}
	}
	err := database.ForgetEncryptionKey(env.ctx, cmd.Forget)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no encryption key with the id %s was used", cmd.Forget)
	}
	if err == nil {
		_, err = fmt.Fprintf(env.stdout, "Forgotten: the next mints make new keys for who had one that was encrypted with %s.\n", cmd.Forget)
	}
	return err
}

const (
	rotationBatch = 200
	// rotationPause leaves the database to the sign-ins: four thousand keys a second at the most.
	rotationPause = 50 * time.Millisecond
	// rotationPasses is how often rows are come back to that somebody else had.
	rotationPasses = 3
)

// rotation is one run through the profiles.
type rotation struct {
	database *store.Store
	out      io.Writer
	how      store.Reencryption
	all      int // about as many as there is to do

	written  int
	last     store.Reencrypted // what the last pass left
	progress *progress.Progress
}

func (r *rotation) run(ctx context.Context) error {
	r.progress = progress.Start(r.out, "keys", r.all)
	for range rotationPasses {
		if err := r.pass(ctx); err != nil {
			return fmt.Errorf("broken off after %d keys; the same command does what is left: %w", r.written, err)
		}
		if r.last.Busy == 0 {
			break
		}
	}
	r.progress.End()
	if err := r.tell(ctx); err != nil {
		return err
	}
	switch {
	case r.last.Unreadable > 0:
		return fmt.Errorf("%d keys can't be read: they were planted, or the encryption key is missing here; coderhook doctor says more", r.last.Unreadable)
	case r.last.Busy > 0:
		return fmt.Errorf("%d keys were being worked at by others: run it again", r.last.Busy)
	}
	return nil
}

// pass goes through all users once, for the keys in the profiles and then for those beside them.
func (r *rotation) pass(ctx context.Context) error {
	r.last = store.Reencrypted{}
	if err := r.through(ctx, r.database.Reencrypt); err != nil {
		return err
	}
	r.last.Last = uuid.Nil
	return r.through(ctx, r.database.ReencryptSets)
}

func (r *rotation) through(ctx context.Context, batch func(context.Context, store.Reencryption, uuid.UUID, int) (store.Reencrypted, error)) error {
	for {
		done, err := batch(ctx, r.how, r.last.Last, rotationBatch)
		if err != nil {
			return err
		}
		r.written += done.Written
		r.last.Last = done.Last
		r.last.Strange, r.last.Unreadable, r.last.Busy = r.last.Strange+done.Strange, r.last.Unreadable+done.Unreadable, r.last.Busy+done.Busy
		if done.Looked < rotationBatch {
			return nil
		}
		for range done.Written {
			r.progress.Step()
		}
		if err := pace.Sleep(ctx, rotationPause); err != nil {
			return err
		}
	}
}

// tell says what was done, and which encryption keys are needed no more.
func (r *rotation) tell(ctx context.Context) error {
	deed := "encrypted with the newest key"
	if r.how.Decrypt {
		deed = "written in plain"
	}
	if r.how.Dry {
		deed = "would be " + deed
	}
	fmt.Fprintf(r.out, "%d keys %s.\n", r.written, deed)
	if r.last.Strange > 0 {
		fmt.Fprintf(r.out, "%d plain ones are left, as the ledger does not know them: their users' next mints look into them.\n", r.last.Strange)
	}
	if r.how.Dry {
		return nil
	}
	retired, err := r.database.RetireEncryptionKeys(ctx)
	if err == nil && len(retired) > 0 {
		fmt.Fprintf(r.out, "Nothing is encrypted any more with %s.\n", strings.Join(retired, ", "))
	}
	return err
}
