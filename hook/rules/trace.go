package rules

// Step is a rule that was asked, and what came of each part of its condition.
type Step struct {
	Rule  string
	Truth Truth
	Err   error
	Parts []Part // more than one where && or || join them
}

// Trace asks the rules as [Policy.Decide] does, up to the one that decides, and tells of each.
func (p *Policy) Trace(f Facts) (steps []Step) {
	d := p.Decide(f)
	for _, rule := range p.Rules {
		truth, err := rule.When.Holds(f)
		steps = append(steps, Step{rule.Name, truth, err, rule.When.Parts(f)})
		if rule.Name == d.Rule {
			break
		}
	}
	return steps
}
