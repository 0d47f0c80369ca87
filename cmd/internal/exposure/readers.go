package exposure

import (
	"fmt"
	"strings"

	"coderhook/store"
)

// Readers says, place by place, who reads other users' keys as surely as can be told; none is nobody.
func (r Report) Readers() []string { return r.readers(Everyone) }

// Doubts is the same for what is not understood.
func (r Report) Doubts() []string {
	found := r.readers(Unclear)
	for _, t := range r.Triggers {
		if t.Unread || t.PassOn {
			found = append(found, fmt.Sprintf("whoever trigger %s on %s hands them to", t.Name, t.Table))
		}
	}
	return found
}

func (r Report) readers(level Level) (all []string) {
	for _, p := range r.Places {
		if roles := p.Who(level); len(roles) > 0 {
			all = append(all, strings.Join(roles, " and ")+", in "+p.Describe())
		}
	}
	return all
}

// Writers says, place by place, who can plant a key.
func (r Report) Writers() (all []string) {
	for _, p := range r.Places {
		var roles []string
		for _, reach := range p.Reaches {
			if max(reach.Insert, reach.Update, reach.Move) != Nobody {
				roles = append(roles, reach.Role)
			}
		}
		if len(roles) > 0 {
			all = append(all, strings.Join(roles, " and ")+", in "+p.Describe())
		}
	}
	return all
}

// Who are the roles that read at that level.
func (p Place) Who(level Level) (roles []string) {
	for _, r := range p.Reaches {
		if r.Read == level {
			roles = append(roles, r.Role)
		}
	}
	return roles
}

// Describe names the place.
func (p Place) Describe() string {
	switch p.Kind {
	case store.Child:
		return p.Name + " (a partition or child of the profiles table, with rights and policies of its own)"
	case store.Parent:
		return p.Name + " (of which the profiles table is a part: its rights and policies count)"
	case store.Copy:
		return p.Name + " (a trigger or rule copies the rows there)"
	case View, MaterializedView:
		return fmt.Sprintf("%s (a %s with its owner's rights)", p.Name, p.Kind)
	}
	return p.Name
}
