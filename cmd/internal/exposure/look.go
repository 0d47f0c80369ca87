package exposure

import (
	"context"
	"slices"
	"strings"

	"coderhook/store"
)

// Catalogue is what is asked of the database.
type Catalogue interface {
	KeyTables(ctx context.Context, copies []store.TableName) ([]store.KeyTable, error)
	RowTriggers(ctx context.Context, tables []int64) ([]store.RowTrigger, error)
	Rules(ctx context.Context, tables []int64) ([]store.Rule, error)
	Views(ctx context.Context, tables []int64) ([]store.View, error)
	Access(ctx context.Context, places []store.Place) ([]store.Access, error)
	Grants(ctx context.Context, places []store.Place) ([]store.Grant, error)
	Policies(ctx context.Context, places []store.Place) ([]store.Policy, error)
}

// What a Place may be, beside the kinds of a table.
const (
	View             store.Kind = "view"
	MaterializedView store.Kind = "materialized view"
)

// Place is a relation in which keys are, or may be, for the roles that reach it.
type Place struct {
	store.Relation
	Kind    store.Kind
	Sure    bool // that there are keys
	Reaches []Reach
	keys    []int16
	grants  []store.Grant
}

// Report is all that there is to be said of who reaches the keys.
type Report struct {
	Places   []Place // the product's table first, if there is one
	Triggers []Trigger
	Rules    []store.Rule
}

// Look asks and judges.
func Look(ctx context.Context, c Catalogue) (Report, error) {
	tables, report, err := tablesOf(ctx, c)
	if err != nil || len(tables) == 0 {
		return report, err
	}
	found := make(carriers)
	for _, p := range tables {
		for _, key := range p.keys {
			found.add(column{p.OID, key}, carrier{sure: p.Sure, open: true})
		}
	}
	views, err := c.Views(ctx, oids(tables))
	if err != nil {
		return report, err
	}
	found.follow(views)
	report.Places = append(tables, viewPlaces(views, found)...)
	return report, report.judge(ctx, c)
}

// tablesOf follows triggers and rules from table to table.
func tablesOf(ctx context.Context, c Catalogue) (places []Place, report Report, err error) {
	var copies []store.TableName
	for {
		tables, err := c.KeyTables(ctx, copies)
		if err != nil || len(tables) == 0 || tables[0].Kind != store.Profiles || tables[0].Key == 0 {
			return nil, report, err
		}
		places = tablePlaces(tables)
		if report.Triggers, report.Rules, err = writersOf(ctx, c, places); err != nil {
			return nil, report, err
		}
		more := targets(report)
		if len(more) == len(copies) {
			report.confine(tables)
			report.doubt(places)
			return places, report, nil
		}
		copies = more
	}
}

func writersOf(ctx context.Context, c Catalogue, tables []Place) (judged []Trigger, rules []store.Rule, err error) {
	triggers, err := c.RowTriggers(ctx, oids(tables))
	if err != nil {
		return nil, nil, err
	}
	for _, t := range triggers {
		at := slices.IndexFunc(tables, func(p Place) bool { return p.OID == t.OID })
		judged = append(judged, judgeTrigger(t, tables[at].keyNames()))
	}
	rules, err = c.Rules(ctx, oids(tables))
	return judged, rules, err
}

// targets are where triggers and rules write keys to, each once.
func targets(r Report) (all []store.TableName) {
	add := func(name store.TableName) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, t := range r.Triggers {
		for _, name := range slices.Concat(t.Copies, t.Perhaps) {
			add(tableName(name))
		}
	}
	for _, rule := range r.Rules {
		for n := range rule.Tables {
			if rule.NamesKey {
				add(store.TableName{Schema: rule.Schemas[n], Table: rule.Tables[n]})
			}
		}
	}
	return all
}

// confine leaves with each trigger only copies that were found: what was not can be anything.
func (r *Report) confine(tables []store.KeyTable) {
	for n := range r.Triggers {
		t := &r.Triggers[n]
		for _, names := range []*[]string{&t.Copies, &t.Perhaps} {
			*names = slices.DeleteFunc(*names, func(name string) bool {
				at := slices.IndexFunc(tables, func(k store.KeyTable) bool { return matches(k, tableName(name)) })
				t.PassOn = t.PassOn || at < 0
				return at < 0 || tables[at].Kind != store.Copy // to write the product's table is no copy
			})
		}
	}
}

// doubt marks copies that no trigger or rule makes for sure.
func (r *Report) doubt(places []Place) {
	for n := range places {
		p := &places[n]
		if p.Kind != store.Copy {
			continue
		}
		p.Sure = slices.ContainsFunc(r.Triggers, func(t Trigger) bool {
			return slices.ContainsFunc(t.Copies, func(name string) bool { return p.isNamed(tableName(name)) })
		}) || slices.ContainsFunc(r.Rules, func(rule store.Rule) bool {
			for n := range rule.Tables {
				if rule.NamesKey && p.isNamed(store.TableName{Schema: rule.Schemas[n], Table: rule.Tables[n]}) {
					return true
				}
			}
			return false
		})
	}
}

func (p Place) isNamed(name store.TableName) bool {
	return matches(store.KeyTable{Relation: p.Relation}, name)
}

// keyNames are the columns with keys, as SQL writes them.
func (p Place) keyNames() (names []string) {
	for n, number := range p.Numbers {
		if slices.Contains(p.keys, number) {
			names = append(names, p.Columns[n])
		}
	}
	return names
}

func matches(k store.KeyTable, name store.TableName) bool {
	plain := strings.ReplaceAll(k.Name, `"`, "")
	if name.Schema == "" {
		return strings.HasSuffix(plain, "."+name.Table)
	}
	return plain == name.Schema+"."+name.Table
}

// tablePlaces are the tables in which there is room for a key.
func tablePlaces(tables []store.KeyTable) (places []Place) {
	for _, t := range tables {
		p := Place{Relation: t.Relation, Kind: t.Kind, Sure: true}
		if t.Key != 0 {
			p.keys = []int16{t.Key}
		} else if t.Kind == store.Copy {
			for n, number := range t.Numbers {
				if t.Roomy[n] {
					p.keys = append(p.keys, number)
				}
			}
		}
		if len(p.keys) > 0 {
			places = append(places, p)
		}
	}
	return places
}

// viewPlaces are views that show keys without asking for the reader's own rights.
func viewPlaces(views []store.View, found carriers) (places []Place) {
	for _, v := range views {
		p := Place{Relation: v.Relation, Kind: View, Sure: true}
		if v.Materialized {
			p.Kind = MaterializedView
		}
		for _, number := range v.Numbers {
			if how, ok := found[column{v.OID, number}]; ok && how.open {
				p.keys, p.Sure = append(p.keys, number), p.Sure && how.sure
			}
		}
		if len(p.keys) > 0 {
			places = append(places, p)
		}
	}
	return places
}

func oids(places []Place) (all []int64) {
	for _, p := range places {
		all = append(all, p.OID)
	}
	return all
}

// judge finds out how far everybody gets.
func (r *Report) judge(ctx context.Context, c Catalogue) error {
	asked := make([]store.Place, len(r.Places))
	for n, p := range r.Places {
		asked[n] = store.Place{OID: p.OID, ID: p.ID, Keys: p.keys}
	}
	access, err := c.Access(ctx, asked)
	if err != nil {
		return err
	}
	policies, err := c.Policies(ctx, asked)
	if err != nil {
		return err
	}
	grants, err := c.Grants(ctx, asked)
	if err != nil {
		return err
	}
	for n := range r.Places {
		r.Places[n].judge(access, policies, grants)
	}
	return nil
}

func (p *Place) judge(access []store.Access, policies []store.Policy, grants []store.Grant) {
	policies = slices.DeleteFunc(slices.Clone(policies), func(y store.Policy) bool { return y.OID != p.OID })
	p.grants = slices.DeleteFunc(slices.Clone(grants), func(g store.Grant) bool { return g.OID != p.OID })
	for _, a := range access {
		if a.OID != p.OID {
			continue
		}
		reach := reachOf(a, policies, p.idName())
		if !p.Sure {
			reach.Read = min(reach.Read, Unclear)
		}
		if p.Kind == store.Copy { // what is written there is nobody's key
			reach = Reach{Role: reach.Role, Read: reach.Read}
		}
		p.Reaches = append(p.Reaches, reach)
	}
}
