package store

import (
	"context"
	"fmt"
	"slices"
)

// EncryptionCensus counts the keys in the profiles by how they are stored.
type EncryptionCensus struct {
	Plain   int
	Newest  int            // encrypted as new ones are
	Older   int            // with other encryption keys of this store
	Missing map[string]int // with those that only other replicas have, by their ids
	Nobodys int            // with such as nobody of us has used: planted
}

const encryptionCensusSQL = `
select coalesce(c.key_id, '') as key_id, c.keys, exists (select from coderhook.encryption_keys as e where e.id = c.key_id) as noted
  from (select case when {key}::text like 'enc:%' then pg_catalog.split_part({key}::text, ':', 3) end as key_id, pg_catalog.count(*)::int as keys
          from {table} where {key}::text <> '' group by 1) as c`

// EncryptionCensus looks at the whole table.
func (s *Store) EncryptionCensus(ctx context.Context) (EncryptionCensus, error) {
	rows, err := all[struct {
		KeyID string // "" for plain ones
		Keys  int
		Noted bool
	}](ctx, s, s.profiles.in(encryptionCensusSQL))
	if err != nil {
		return EncryptionCensus{}, fmt.Errorf("count encrypted keys: %w", err)
	}
	c := EncryptionCensus{Missing: make(map[string]int)}
	newest, ours := s.encryption.newest(), s.encryption.ids()
	for _, row := range rows {
		switch {
		case row.KeyID == "":
			c.Plain += row.Keys
		case row.KeyID == newest:
			c.Newest += row.Keys
		case slices.Contains(ours, row.KeyID):
			c.Older += row.Keys
		case row.Noted:
			c.Missing[row.KeyID] += row.Keys
		default:
			c.Nobodys += row.Keys
		}
	}
	return c, nil
}

// newest is the id of the encryption key that is written with, "" for none.
func (e encryption) newest() string {
	if e.plain {
		return ""
	}
	return e.keys[0].id
}
