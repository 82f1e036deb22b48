// What cel-go and Kubernetes' libraries answer to expressions: read from standard input, a line of JSON text each, one answer each.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

type answer struct {
	Expression string `json:"expression"`
	Compile    string `json:"compile,omitempty"` // why it does not compile
	Plan       string `json:"plan,omitempty"`    // why no program can be made of it
	Type       string `json:"type,omitempty"`
	Min        uint64 `json:"min"` // estimated costs
	Max        uint64 `json:"max"`
	Error      string `json:"error,omitempty"`
	Value      string `json:"value,omitempty"`
	Cost       uint64 `json:"cost"`
}

// What is known of sizes before anything is evaluated.
type sizes struct{}

func (sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	if len(n.Path()) == 1 {
		switch n.Path()[0] {
		case "s":
			return &checker.SizeEstimate{Min: 0, Max: 100}
		case "ls":
			return &checker.SizeEstimate{Min: 0, Max: 10}
		}
	}
	if len(n.Path()) == 2 && n.Path()[0] == "ls" && n.Path()[1] == "@items" {
		return &checker.SizeEstimate{Min: 0, Max: 50}
	}
	return nil
}
func (sizes) EstimateCallCost(f, o string, t *checker.AstNode, a []checker.AstNode) *checker.CallEstimate {
	return nil
}

func main() {
	set := environment.MustBaseEnvSet(version.MajorMinor(1, 36))
	set, err := set.Extend(environment.VersionedOptions{IntroducedVersion: version.MajorMinor(1, 0), EnvOptions: []cel.EnvOption{
		cel.Variable("n", cel.IntType), cel.Variable("u", cel.UintType), cel.Variable("d", cel.DoubleType), cel.Variable("s", cel.StringType),
		cel.Variable("b", cel.BoolType), cel.Variable("by", cel.BytesType), cel.Variable("l", cel.ListType(cel.IntType)), cel.Variable("ls", cel.ListType(cel.StringType)),
		cel.Variable("m", cel.MapType(cel.StringType, cel.IntType)), cel.Variable("x", cel.DynType), cel.Variable("ts", cel.TimestampType), cel.Variable("du", cel.DurationType),
		cel.Variable("missing", cel.IntType),
	}})
	if err != nil {
		panic(err)
	}
	env := set.NewExpressionsEnv()
	est := &library.CostEstimator{SizeEstimator: sizes{}}
	vars := map[string]any{"n": int64(7), "u": uint64(8), "d": 2.5, "s": "hello wörld", "b": true, "by": []byte("abc"), "l": []int64{1, 2, 3}, "ls": []string{"a", "bb", "ccc"},
		"m": map[string]int64{"one": 1, "two": 2}, "x": map[string]any{"a": int64(1), "b": []any{"p", int64(2), 3.5, nil, true}, "c": map[string]any{"d": "e"}, "n": nil},
		"ts": time.Date(2024, 2, 29, 12, 30, 45, 123456789, time.UTC), "du": 90 * time.Minute}
	sc := bufio.NewScanner(os.Stdin)
	sc.Buffer(make([]byte, 1<<20), 1<<24)
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	for sc.Scan() {
		var e string
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		o := answer{Expression: e}
		ast, iss := env.Compile(e)
		if iss != nil {
			o.Compile = iss.String()
			enc.Encode(o)
			continue
		}
		o.Type = ast.OutputType().String()
		c, err := env.EstimateCost(ast, est)
		if err != nil {
			o.Plan = "cost " + err.Error()
		}
		o.Min, o.Max = c.Min, c.Max
		if o.Min > math.MaxInt64 {
			o.Min = math.MaxInt64
		}
		prog, err := env.Program(ast, cel.CostLimit(1000000), cel.CostTracking(est), cel.InterruptCheckFrequency(100))
		if err != nil {
			o.Plan += err.Error()
			enc.Encode(o)
			continue
		}
		v, det, err := prog.Eval(vars)
		if det != nil && det.ActualCost() != nil {
			o.Cost = *det.ActualCost()
		}
		if err != nil {
			o.Error = err.Error()
		} else {
			o.Value = types.Format(v)
			if v.Type().TypeName() == "optional_type" {
				o.Value = fmt.Sprintf("optional %v", v.(*types.Optional).HasValue())
			}
		}
		enc.Encode(o)
	}
}
