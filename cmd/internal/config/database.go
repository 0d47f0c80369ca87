package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"coderhook/store"
)

// ProfilesVariables name the product's table.
const ProfilesVariables = "PROFILES_TABLE, PROFILES_ID_COLUMN, PROFILES_KEY_COLUMN"

func readDatabase(v *variables) store.Config {
	dsn := v.required("DATABASE_URL", "set it to the project's Postgres, like postgres://coderhook:PASSWORD@HOST:5432/postgres")
	c := store.Config{
		URL:               v.address("DATABASE_URL", dsn, "postgres", "postgresql"),
		Reread:            rereadURL(v.text("DATABASE_URL_FILE", "")),
		ProfilesTable:     v.text("PROFILES_TABLE", "public.profiles"),
		ProfilesIDColumn:  v.text("PROFILES_ID_COLUMN", "id"),
		ProfilesKeyColumn: v.text("PROFILES_KEY_COLUMN", "api_key"),
		PolicyColumns:     v.list("PROFILES_POLICY_COLUMNS"),
		LedgerSecrets:     readLedgerSecrets(v),
		EncryptionKeys:    readEncryptionKeys(v),
		ChainHook:         v.text("CHAIN_HOOK", ""),
	}
	if err := c.CheckChainHook(); err != nil {
		v.fault("CHAIN_HOOK", "%w", err)
	}
	if err := (store.Config{PolicyColumns: c.PolicyColumns, ProfilesKeyColumn: c.ProfilesKeyColumn}).CheckNames(); err != nil && len(c.PolicyColumns) > 0 {
		v.fault("PROFILES_POLICY_COLUMNS", "%s", withCure(err, "name columns like plan,seats"))
		c.PolicyColumns = nil
	}
	c.RefusePlainKeys = readRefusePlain(v, c.EncryptionKeys)
	if err := c.CheckNames(); err != nil {
		v.fault(ProfilesVariables, "%s", withCure(err, "write them like public.profiles, id, api_key"))
	}
	if strings.HasPrefix(c.ProfilesTable, "auth.") {
		v.fault(ProfilesVariables, "%s belongs to Supabase; name a table of the product's own", c.ProfilesTable)
	}
	if err := c.CheckURL(); c.URL != "" && err != nil {
		v.fault("DATABASE_URL", "%s", withCure(err, "correct this in it"))
	}
	return c
}

// withCure adds what to do, unless the error says so.
func withCure(err error, do string) string {
	text := err.Error()
	if strings.Contains(text, "; ") {
		return text
	}
	return text + "; " + do
}

// longestURL bounds what is read of a file, which somebody may mistake for another one.
const longestURL = 64 << 10

// rereadURL returns what reads the file of the database's URL again; nil where there is none.
func rereadURL(path string) func() (string, error) {
	if path == "" {
		return nil
	}
	return func() (string, error) {
		content, err := readSome(path)
		if err != nil {
			return "", Pathless(err)
		}
		v := &variables{}
		return v.bare("DATABASE_URL_FILE", string(content)), v.err()
	}
}

// readSome reads a regular file that is not too long. New connections wait for it, and a pipe that nobody
// writes to would never end.
func readSome(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > longestURL {
		return nil, errors.New("not a regular file of at most 64 KiB")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, longestURL))
}

// Pathless returns the error without the path: some write the secret itself where a file's name belongs.
func Pathless(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}
