package pickle

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// features can name another folder of pickles with their canonical texts.
var features = flag.String("features", "testdata/features", "folder of NAME.pkl with NAME.txt, Python's canonical text of the value")

// refusedFeatures are the values that this package does not read on purpose,
// with what the error must say of them.
var refusedFeatures = map[string]string{
	"Categorical.p5":          `names "pandas.`,
	"Counter.p5":              `names "collections.Counter"`,
	"DataFrame.p5":            `names "pandas.`,
	"PosixPath.p5":            `names "pathlib.PosixPath"`,
	"Series.p5":               `names "pandas.`,
	"SimpleNamespace.p5":      `names "types.SimpleNamespace"`,
	"Timestamp.p5":            `names "pandas.`,
	"bytearray.p2":            `names "__builtin__.bytearray"`,
	"bytearray.p3":            `names "builtins.bytearray"`,
	"bytearray.p4":            `names "builtins.bytearray"`,
	"c16.p5":                  "dtype c16",
	"complex.p5":              `names "builtins.complex"`,
	"date.p5":                 `names "datetime.date"`,
	"datetime.p2":             `names "datetime.datetime"`,
	"datetime.p3":             `names "datetime.datetime"`,
	"datetime.p4":             `names "datetime.datetime"`,
	"datetime.p5":             `names "datetime.datetime"`,
	"decimal.p5":              `names "decimal.Decimal"`,
	"defaultdict_list.p5":     `names "collections.defaultdict"`,
	"deque.p5":                `names "collections.deque"`,
	"dt64.p5":                 "dtype M8",
	"dtype.p5":                "holds a type, not a value",
	"dtype_struct.p5":         "dtype V12",
	"ellipsis.p5":             `names "builtins.Ellipsis"`,
	"fraction.p5":             `names "fractions.Fraction"`,
	"longdouble.p5":           "dtype f16",
	"masked.p5":               `names "numpy.ma.core._mareconstruct"`,
	"matrix.p5":               `names "numpy.matrix"`,
	"omegaconf_DictConfig.p5": `names "omegaconf.dictconfig.DictConfig"`,
	"oob_f8.p5":               "NEXT_BUFFER",
	"oob_ro_f8.p5":            "NEXT_BUFFER",
	"range.p5":                `names "builtins.range"`,
	"recarray.p5":             `names "numpy.rec`,
	"scalar_c16.p5":           "dtype c16",
	"scalar_dt.p5":            "dtype M8",
	"set_int.p2":              `names "__builtin__.set"`,
	"set_int.p3":              `names "builtins.set"`,
	"slice.p5":                `names "builtins.slice"`,
	"struct.p5":               "dtype V12",
	"struct_nested.p5":        "dtype V",
	"td64.p5":                 "dtype m8",
	"timedelta.p5":            `names "datetime.timedelta"`,
	"tz.p5":                   `names "datetime.datetime"`,
	"uuid.p5":                 `names "uuid.UUID"`,
}

// somePaths are paths into the features and the metrics pickles of a study.
var somePaths = [][]string{
	{"nothing"}, {"x"}, {"a/b"}, {"*/*"},
	{"metrics_iter/test/preds", "metrics_iter/test/metrics/scalars", "metrics_stats/test", "subjectwise_stats/*/labels"},
	{"metrics_iter/train/preds_dict/arrays/y_pred", "subject_global_stats/test/*/mean"},
	{"*/test"}, {"*/*/metrics/*/*/mean", "subjectwise_stats/val/subject_code"},
}

// TestFeatures reads what Python wrote and compares every value with what
// Python says it is.
func TestFeatures(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(*features, "*.pkl"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no features in %s: %v", *features, err)
	}
	seen := 0
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".pkl")
		t.Run(name, func(t *testing.T) {
			file, err := ReadFile(path, nil, Limits{})
			if reason, refused := refusedFeatures[name]; refused {
				seen++
				var e *Error
				if !errors.As(err, &e) || e.Kind != Refused || !strings.Contains(e.Detail, reason) {
					t.Fatalf("got value %v and error %v, want a refusal that says %q", file, err, reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, patterns := range somePaths {
				if err := checkPaths(data, patterns); err != nil {
					t.Error(err)
				}
			}
			text, err := os.ReadFile(strings.TrimSuffix(path, ".pkl") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(string(text), "\n")
			lines, err := canon(file.Value, 0)
			if want == "CYCLE" {
				if err == nil {
					t.Errorf("got %s, want a list that contains itself", lines)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// Both kinds of bytes become []byte.
			want = strings.ReplaceAll(want, "bytearray ", "bytes ")
			got := strings.Join(lines, "\n")
			if got == want {
				return
			}
			// cmp.Diff would take for ever on the millions of lines of a large file.
			i := 0
			for i < min(len(got), len(want)) && got[i] == want[i] {
				i++
			}
			from := strings.LastIndex(got[:i], "\n") + 1
			t.Errorf("value differs from Python's after %d characters:\n got %.300s\nwant %.300s", i, got[from:], want[from:])
		})
	}
	if *features == "testdata/features" && seen != len(refusedFeatures) {
		t.Errorf("%d features were refused as listed, want %d", seen, len(refusedFeatures))
	}
}
