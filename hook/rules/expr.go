// Package rules says, by an operator's policy file, who gets a Coder key and which: conditions in CEL, in order, of which
// the first that holds decides.
package rules

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

const (
	maxExpr = 4 << 10 // bytes
	// maxCost is what one expression may cost, in CEL's units: some ten steps or characters that are looked at.
	maxCost = 20_000
	// maxNested is how deep lists may be gone through within each other.
	maxNested = 2
	// maxRegex is what a pattern may compile to, in instructions.
	maxRegex = 1000
)

// Truth is what came of a condition.
type Truth int

const (
	No      Truth = iota
	Yes           // it holds
	Depends       // on the session: the facts are a user's, see [Facts]
)

func (t Truth) String() string { return [...]string{"no", "yes", "depends on the session"}[t] }

// Expr is a condition in CEL over claims, user and profile.
type Expr struct {
	source  string
	checked *cel.Ast
	env     *cel.Env
	program cel.Program                 // of a session's facts
	free    cel.Program                 // likewise, without counting the cost
	cheap   int                         // bytes up to which the facts are so small that it can't cost too much
	users   cel.Program                 // of a user's
	unknown []*cel.AttributePatternType // of a user's facts
	chained []*cel.AttributePatternType // likewise, behind a chained hook
	uses    uses
}

// Fault is what is wrong with an expression, and where.
type Fault struct {
	Line, Column int // from 1 on
	Message      string
}

func (f *Fault) Error() string { return fmt.Sprintf("%d:%d: %s", f.Line, f.Column, f.Message) }

// Compile compiles a condition. The columns are those that profile has. The error is a *Fault.
func Compile(source string, columns []string) (*Expr, error) {
	if len(source) > maxExpr {
		return nil, &Fault{1, 1, fmt.Sprintf("it has more than %d bytes", maxExpr)}
	}
	env, err := newEnv(columns)
	if err != nil {
		return nil, &Fault{1, 1, err.Error()}
	}
	checked, issues := env.Compile(source)
	if issues != nil && len(issues.Errors()) > 0 {
		first := issues.Errors()[0]
		return nil, &Fault{first.Location.Line(), max(first.Location.Column(), 0) + 1, firstLine(first.Message)}
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, &Fault{1, 1, "it is no condition: it gives a " + t.String() + ", not true or false"}
	}
	e := &Expr{source: source, checked: checked, env: env}
	if err := e.look(); err != nil {
		return nil, err
	}
	if e.cheap, err = cheapUpTo(env, checked); err == nil {
		e.free, err = env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	}
	if err == nil {
		e.program, err = env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize))
	}
	if err == nil {
		e.users, err = env.Program(checked, cel.CostLimit(maxCost), cel.EvalOptions(cel.OptOptimize, cel.OptPartialEval))
	}
	if err != nil {
		return nil, &Fault{1, 1, firstLine(err.Error())}
	}
	return e, nil
}

// cheapUpTo returns up to which size of the facts, in bytes, an expression costs no more than it may by CEL's own estimate:
// to count what it costs takes longer than to evaluate it.
func cheapUpTo(env *cel.Env, checked *cel.Ast) (size int, err error) {
	for next := smallestFacts; next <= largestFacts; next *= 2 {
		estimate, err := env.EstimateCost(checked, sized(next))
		if err != nil || estimate.Max > maxCost {
			return size, err
		}
		size = next
	}
	return size, nil
}

const (
	smallestFacts = 1 << 10
	largestFacts  = 256 << 10 // more than an event can have
)

// sized tells the estimate that what stands in the facts has no more parts than they have bytes.
type sized uint64

// EstimateSize knows nothing of what an expression makes itself.
func (s sized) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if len(node.Path()) == 0 {
		return nil
	}
	return &cost.SizeEstimate{Max: uint64(s)}
}

// EstimateCallCost leaves it to CEL.
func (sized) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// newEnv declares user and profile member by member: a name that is not known is a fault of the file, not of a mint.
func newEnv(columns []string) (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.Variable(claimsVar, cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable(emailVar, cel.StringType), cel.Variable(domainVar, cel.StringType),
		cel.Variable(providerVar, cel.StringType), cel.Variable(providersVar, cel.ListType(cel.StringType)),
		cel.Variable(confirmedVar, cel.BoolType), cel.Variable(createdVar, cel.TimestampType),
		cel.ParserRecursionLimit(100),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			cel.ValidateComprehensionNestingLimit(maxNested), cel.ValidateRegexProgramSizeLimit(maxRegex)),
	}
	for _, column := range columns {
		options = append(options, cel.Variable(profilePrefix+column, cel.DynType))
	}
	return cel.NewEnv(options...)
}

// look finds out what the expression reads. A pattern that is not in the file would be its user's to choose.
func (e *Expr) look() error {
	root := ast.NavigateAST(e.checked.NativeRep())
	for _, node := range append(ast.MatchDescendants(root, ast.AllMatcher()), root) {
		switch node.Kind() {
		case ast.IdentKind:
			e.uses.note(node)
		case ast.CallKind:
			call := node.AsCall()
			if args := call.Args(); call.FunctionName() == "matches" && args[len(args)-1].Kind() != ast.LiteralKind {
				return &Fault{1, 1, "matches: the pattern has to be written there, in quotes"}
			}
		}
	}
	e.unknown = e.but(ofUser)
	e.chained = append(e.but(notReturned), cel.AttributePattern(providerVar), cel.AttributePattern(providersVar))
	return nil
}

// but returns patterns of all claims that the expression reads, but of the known ones.
func (e *Expr) but(known []string) (patterns []*cel.AttributePatternType) {
	if e.uses.allClaims {
		return append(patterns, cel.AttributePattern(claimsVar))
	}
	for _, member := range e.uses.claims {
		if !slices.Contains(known, member) {
			patterns = append(patterns, cel.AttributePattern(claimsVar).QualString(member))
		}
	}
	return patterns
}

// String returns the expression's text.
func (e *Expr) String() string { return e.source }

// Holds evaluates the condition. The error says why it could not be; it holds nothing of what was looked at.
func (e *Expr) Holds(f Facts) (Truth, error) { return e.holds(newVars(f, e.uses)) }

func (e *Expr) holds(v *vars) (Truth, error) {
	program, input := e.program, any(v)
	if v.size() <= e.cheap {
		program = e.free
	}
	if !v.Session {
		unknown := e.unknown
		if v.Chained {
			unknown = e.chained
		}
		partial, err := cel.PartialVars(v, unknown...)
		if err != nil {
			return No, errOther
		}
		program, input = e.users, partial
	}
	value, _, err := program.Eval(input)
	if v.fault != nil {
		return No, errClaims
	}
	if err != nil {
		return No, plain(err)
	}
	return truth(value)
}

func truth(value ref.Val) (Truth, error) {
	switch value := value.(type) {
	case types.Bool:
		if value {
			return Yes, nil
		}
		return No, nil
	case *types.Unknown:
		return Depends, nil
	case *types.Err:
		return No, plain(value)
	}
	return No, errType
}

// Why a condition could not be evaluated.
var (
	errClaims = errors.New("the claims can't be read")
	errCost   = errors.New("it costs too much")
	errType   = errors.New("a value is of another type")
	errOther  = errors.New("a value can't be used in that way")
)

var noSuchKey = regexp.MustCompile(`^no such key: ([A-Za-z_][A-Za-z0-9_]{0,63})$`)

// plain leaves out what CEL says of values: a key may be among them.
func plain(err error) error {
	text := err.Error()
	if missing := noSuchKey.FindStringSubmatch(text); missing != nil {
		return errors.New("there is no member " + missing[1])
	}
	switch {
	case strings.Contains(text, "cost limit"):
		return errCost
	case strings.Contains(text, "no such overload"), strings.Contains(text, "unexpected type"):
		return errType
	}
	return errOther
}

// Part is a part of a condition, and what came of it.
type Part struct {
	Source string
	Truth  Truth
	Err    error
}

// Parts evaluates what && and || join, each by itself.
func (e *Expr) Parts(f Facts) []Part {
	root := e.checked.NativeRep().Expr()
	sources := e.split(root)
	parts := make([]Part, len(sources))
	for i, source := range sources {
		parts[i].Source = source
		part, err := e.compileSame(source)
		if err == nil {
			parts[i].Truth, err = part.Holds(f)
		}
		parts[i].Err = err
	}
	return parts
}

func (e *Expr) split(expr ast.Expr) []string {
	if expr.Kind() == ast.CallKind {
		call := expr.AsCall()
		if name := call.FunctionName(); name == operators.LogicalAnd || name == operators.LogicalOr {
			var sources []string
			for _, arg := range call.Args() {
				sources = append(sources, e.split(arg)...)
			}
			return sources
		}
	}
	source, err := cel.ExprToString(expr, e.checked.NativeRep().SourceInfo())
	if err != nil {
		return []string{e.source}
	}
	return []string{source}
}

// compileSame compiles a part of what has been compiled.
func (e *Expr) compileSame(source string) (*Expr, error) {
	columns := make([]string, 0, len(e.uses.profile))
	columns = append(columns, e.uses.profile...)
	return Compile(source, columns)
}
