package rules

// HoldsCounted is Holds with all claims decoded, and the cost counted however small the facts are.
func HoldsCounted(e *Expr, f Facts) (Truth, error) {
	counted, all := *e, e.uses
	counted.cheap, all.inside.Whole = -1, true
	return counted.holds(newVars(f, all))
}

// ErrClaims says that the claims can't be read.
var ErrClaims = errClaims

// CheapUpTo is the size of facts, in bytes, up to which the cost of a condition is not counted.
func CheapUpTo(e *Expr) int { return e.cheap }
