package sidecar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func ptr[T any](v T) *T { return &v }

func figure() *Document {
	v := Value{Estimate: ptr(0.91), CI: &[2]float64{0.85, 0.95}, CIMethod: "logit-DeLong"}
	return &Document{
		Schema: FigureSchema, ID: "fig_test", Title: "A < B & C", Section: "main", Estimand: "over_models",
		Queries: []Query{{Panel: "a", SQL: "SELECT a / b FROM t WHERE x = ?", Args: []any{"simple1.0", uint64(math.MaxUint64)}, Rows: 1, BLAKE3: "ab"}},
		Params:  map[string]any{"z": 1, "a": 0.1, "seed": int64(1<<62 + 1)},
		Style:   "house/1",
		Panels: []Panel{{ID: "a", Kind: "forest", X: "AUROC", Forest: &Forest{Rows: []ForestRow{{
			Method: "LOF", Label: "LOF", Category: "traditional", N: 2, Mean: v, Range: [2]float64{0.9, 0.92},
			Points: []ForestPoint{{Label: "SAITS", Value: v}, {Label: "CSDI", Value: Value{Undefined: "one_class"}}},
		}}}}},
	}
}

func table() *Document {
	return &Document{Schema: TableSchema, ID: "tab_test", Table: &Table{
		Columns: []Column{{ID: "m", Align: "l"}, {ID: "v", Align: "r", Decimals: 3}},
		Rows:    []Row{{Cells: []Cell{{Text: "LOF"}, {Value: &Value{Estimate: ptr(0.5)}}}}},
	}}
}

func TestEncodeIsCanonical(t *testing.T) {
	doc := figure()
	a, err := Encode(doc)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Warnings != nil {
		t.Error("Encode changed its argument")
	}
	for _, want := range []string{`"A < B & C"`, `"warnings": []`, `"excluded": []`, `"reference": []`, "18446744073709551615", "4611686018427387905", `"a": 0.1`} {
		if !bytes.Contains(a, []byte(want)) {
			t.Errorf("no %s in\n%s", want, a)
		}
	}
	if strings.Index(string(a), `"a": 0.1`) > strings.Index(string(a), `"z": 1`) {
		t.Error("keys of params are not sorted")
	}
	if !bytes.HasSuffix(a, []byte("}\n")) || bytes.HasSuffix(a, []byte("\n\n")) {
		t.Error("want exactly one newline at the end")
	}
	back, err := Decode(a)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Encode(back)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(a), string(b)); d != "" {
		t.Errorf("decoding and encoding changed the bytes:\n%s", d)
	}
}

func TestFloatsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }).Draw(t, "f")
		doc := figure()
		doc.Panels[0].Forest.Rows[0].Mean = Value{Estimate: &f}
		raw, err := Encode(doc)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := *back.Panels[0].Forest.Rows[0].Mean.Estimate; got != f {
			t.Fatalf("got %v, want %v", got, f)
		}
	})
}

func TestEncodeRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Document)
		want  string
	}{
		"nan":            {func(d *Document) { d.Panels[0].Forest.Rows[0].Range[1] = math.NaN() }, "panels[0].forest.rows[0].range[1]"},
		"infinity":       {func(d *Document) { d.Params["x"] = math.Inf(1) }, `params["x"]`},
		"bad text":       {func(d *Document) { d.Title = "\xff" }, "title is not UTF-8"},
		"no rows":        {func(d *Document) { d.Panels[0].Forest.Rows = nil }, "no rows"},
		"no panels":      {func(d *Document) { d.Panels = nil }, "panels"},
		"no configs":     {func(d *Document) { d.Panels[0].Forest.Rows[0].Points = nil }, "no configuration"},
		"wrong n":        {func(d *Document) { d.Panels[0].Forest.Rows[0].N = 3 }, "n = 3"},
		"wrong kind":     {func(d *Document) { d.Panels[0].Kind = "lines" }, "lines"},
		"no value":       {func(d *Document) { d.Panels[0].Forest.Rows[0].Mean = Value{} }, "neither a number"},
		"both":           {func(d *Document) { d.Panels[0].Forest.Rows[0].Mean.Undefined = "one_class" }, "one_class"},
		"interval order": {func(d *Document) { d.Panels[0].Forest.Rows[0].Mean.CI = &[2]float64{1, 0} }, "lower limit"},
		"schema":         {func(d *Document) { d.Schema = "plr.figure/2" }, "plr.figure/2"},
		"same panels":    {func(d *Document) { d.Panels = append(d.Panels, d.Panels[0]) }, "two panels"},
		"no id":          {func(d *Document) { d.ID = "" }, "without id"},
	} {
		t.Run(name, func(t *testing.T) {
			d := figure()
			c.spoil(d)
			_, err := Encode(d)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestTableIsValidated(t *testing.T) {
	if _, err := Encode(table()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		spoil func(*Document)
		want  string
	}{
		"zero rows":   {func(d *Document) { d.Table.Rows = nil }, "no rows"},
		"short row":   {func(d *Document) { d.Table.Rows[0].Cells = d.Table.Rows[0].Cells[:1] }, "1 cells for 2 columns"},
		"align":       {func(d *Document) { d.Table.Columns[0].Align = "c" }, `"c"`},
		"two in one":  {func(d *Document) { d.Table.Rows[0].Cells[1].Text = "x" }, "a text and a value"},
		"with number": {func(d *Document) { d.Numbers = []Number{{Name: "a", Text: "b"}} }, "either"},
		"bad name":    {func(d *Document) { d.Table = nil; d.Numbers = []Number{{Name: "n1", Text: "b"}} }, "letters only"},
		"no query":    {func(d *Document) { d.Table = nil; d.Numbers = []Number{{Name: "n", Text: "b", Query: "z"}} }, "there is none"},
		"two values":  {func(d *Document) { d.Table = nil; d.Numbers = []Number{{Name: "n", Text: "b", Count: ptr(1)}} }, "2 of"},
	} {
		t.Run(name, func(t *testing.T) {
			d := table()
			c.spoil(d)
			_, err := Encode(d)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestDecodeIsStrict(t *testing.T) {
	raw, err := Encode(table())
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	m["digest"] = "x"
	unknown, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"unknown member": unknown,
		"second value":   append(bytes.Clone(raw), "{}"...),
		"cut":            raw[:len(raw)/2],
		"empty":          nil,
	} {
		if _, err := Decode(b); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestLint(t *testing.T) {
	if err := Lint(figure()); err != nil {
		t.Fatal(err)
	}
	code := fmt.Sprintf("PLR%04d", 17)
	for name, c := range map[string]struct {
		spoil func(*Document)
		want  string
	}{
		"code":         {func(d *Document) { d.Alt = "subject " + code }, "alt holds an original"},
		"code in args": {func(d *Document) { d.Queries[0].Args[0] = code }, "queries[0].args[0]"},
		"code as key":  {func(d *Document) { d.Params[code] = 1 }, "a key of a map"},
		"path":         {func(d *Document) { d.Queries[0].SQL = "ATTACH '/data/x/y.db'" }, "an absolute path"},
		"path alone":   {func(d *Document) { d.Filter = "/root" }, "an absolute path"},
		"file uri":     {func(d *Document) { d.Params["x"] = "file:///a" }, "an absolute path"},
		"home":         {func(d *Document) { d.Params["x"] = []any{"~/a"} }, "an absolute path"},
		"colour":       {func(d *Document) { d.Panels[0].Forest.Rows[0].Category = "#0072B2" }, "a colour"},
		"raw label": {func(d *Document) {
			r := &d.Panels[0].Forest.Rows[0]
			r.Method, r.Label = "pupil-gt", "pupil-gt"
		}, "raw name"},
	} {
		t.Run(name, func(t *testing.T) {
			d := figure()
			c.spoil(d)
			err := Lint(d)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want one with %q", err, c.want)
			}
			if strings.Contains(err.Error(), code) {
				t.Error("the error repeats the code")
			}
		})
	}
}
