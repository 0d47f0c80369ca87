package store

import (
	"context"
	"fmt"
	"slices"
)

// EncryptionCensus counts the keys in the profiles, and those beside them, by how they are stored.
type EncryptionCensus struct {
	Plain   int
	Newest  int            // encrypted as new ones are
	Older   int            // with other encryption keys of this store
	Missing map[string]int // with those that only other replicas have, by their ids
	Nobodys int            // with such as nobody of us has used: planted
}

// Whatever somebody wrote into the column, there are no more groups than encryption keys.
const encryptionCensusSQL = `
select case when p.stored like 'enc:%' then coalesce(e.id, '?') else '' end as key_id, pg_catalog.count(*)::int as keys
  from (select {key}::text as stored from {table} union all select api_key from coderhook.keys) as p
  left join (select id from coderhook.encryption_keys union select id from pg_catalog.unnest($1::text[]) as id) as e
    on p.stored like 'enc:%' and pg_catalog.split_part(p.stored, ':', 3) = e.id
 where p.stored <> '' group by 1`

// EncryptionCensus looks at the whole table.
func (s *Store) EncryptionCensus(ctx context.Context) (EncryptionCensus, error) {
	newest, ours := s.encryption.newest(), s.encryption.ids()
	rows, err := all[struct {
		KeyID string // "" for plain ones, "?" for those of keys that nobody has used
		Keys  int
	}](ctx, s, s.profiles.in(encryptionCensusSQL), ours)
	if err != nil {
		return EncryptionCensus{}, fmt.Errorf("count encrypted keys: %w", err)
	}
	c := EncryptionCensus{Missing: make(map[string]int)}
	for _, row := range rows {
		switch {
		case row.KeyID == "":
			c.Plain += row.Keys
		case row.KeyID == "?":
			c.Nobodys += row.Keys
		case row.KeyID == newest:
			c.Newest += row.Keys
		case slices.Contains(ours, row.KeyID):
			c.Older += row.Keys
		default:
			c.Missing[row.KeyID] += row.Keys
		}
	}
	return c, nil
}

// newest is the id of the encryption key that is written with, "" for none.
func (e encryption) newest() string {
	if !e.encrypts {
		return ""
	}
	return e.keys[0].id
}
