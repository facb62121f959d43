package sourcedb

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pickle "github.com/kisielk/og-rek"
)

// madeCodes gives made-up subject i the public code H00i, or G00i from 50 on.
func madeCodes(original string) (string, bool) {
	for i := range 100 {
		if madeCode(i) == original {
			if i >= 50 {
				return fmt.Sprintf("G%03d", i-49), true
			}
			return fmt.Sprintf("H%03d", i), true
		}
	}
	return "", false
}

// manySubjects has controls 1–9 with masks 1, 2, 2, 3, 5, 8, 8, 8, 9 of 10,
// glaucoma subjects 50–52, one without a label and one without a code.
func manySubjects(t *testing.T) string {
	t.Helper()
	statements := bothTables()
	for i, masked := range []int{1, 2, 2, 3, 5, 8, 8, 8, 9} {
		statements = append(statements, insert([]string{"train", "test"}[i%2], i+1, 10, masked, "control"))
	}
	for i := range 3 {
		statements = append(statements, insert("test", 50+i, 10, i, "glaucoma"))
	}
	statements = append(statements, insert("test", 20, 10, 10, "NULL"), insert("train", 200, 10, 10, "control"))
	return newSource(t, statements...)
}

func writeTraces(t *testing.T, source string, o TraceOptions) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "traces.pkl")
	if err := WriteTraces(t.Context(), source, madeCodes, o, path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// decodeTraces gives the two dictionaries of the file.
func decodeTraces(t *testing.T, data []byte) (traces, metadata map[any]any) {
	t.Helper()
	value, err := pickle.NewDecoder(bytes.NewReader(data)).Decode()
	if err != nil {
		t.Fatal(err)
	}
	root := value.(map[any]any)
	return root["traces"].(map[any]any), root["metadata"].(map[any]any)
}

// keysInFile lists the subjects in the order in which they stand in the file.
func keysInFile(data []byte) string {
	var keys []string
	for rest := data; ; {
		at := bytes.Index(rest, []byte("\x04\x00\x00\x00"))
		if at < 0 || at+8 > len(rest) {
			return strings.Join(keys, " ")
		}
		if key := string(rest[at+4 : at+8]); key[0] == 'H' || key[0] == 'G' {
			keys = append(keys, key)
		}
		rest = rest[at+4:]
	}
}

func TestWriteTracesByRule(t *testing.T) {
	data := writeTraces(t, manySubjects(t), TraceOptions{})
	// Highest 9 and 8 (H006 of three), lowest 1 and 2 (H002 of two), then
	// nearest the median of 5: 5 itself and 3.
	if got, want := keysInFile(data), "H001 H002 H004 H005 H006 H009 G001 G002 G003"; got != want {
		t.Errorf("subjects %s, want %s", got, want)
	}
	traces, metadata := decodeTraces(t, data)
	if diff := cmp.Diff(map[any]any{"format": int64(1), "n_subjects": int64(9), "selection": "rule", "WARNING": demoWarning}, metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	trace := traces["H002"].(map[any]any)
	none := pickle.None{}
	want := map[any]any{
		"time":          []any{0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9},
		"pupil_raw":     []any{none, none, 5.02, 5.03, 5.04, 5.05, 5.06, 5.07, 5.08, 5.09},
		"pupil_gt":      []any{5.0, 4.99, 4.98, 4.97, 4.96, 4.95, 4.94, 4.93, 4.92, 4.91},
		"outlier_mask":  []any{int64(1), int64(1), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0), int64(0)},
		"red_stimulus":  []any{0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0},
		"blue_stimulus": []any{0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5},
		"class_label":   "control",
	}
	if diff := cmp.Diff(want, trace); diff != "" {
		t.Errorf("trace (-want +got):\n%s", diff)
	}
	if label := traces["G001"].(map[any]any)["class_label"]; label != "glaucoma" {
		t.Errorf("class label %v, want glaucoma", label)
	}
	if bytes.Contains(data, []byte("PLR")) {
		t.Error("the file holds an original code")
	}
}

func TestWriteTracesByCode(t *testing.T) {
	source := manySubjects(t)
	data := writeTraces(t, source, TraceOptions{Subjects: []string{"G002", "H003"}})
	if got, want := keysInFile(data), "G002 H003"; got != want {
		t.Errorf("subjects %s, want %s", got, want)
	}
	if again := writeTraces(t, source, TraceOptions{Subjects: []string{"G002", "H003"}}); !bytes.Equal(data, again) {
		t.Error("the same traces gave different bytes")
	}
	for want, codes := range map[string][]string{"code H020, G044": {"H020", "H003", "G044"}, "H003 is listed twice": {"H003", "H003"}} {
		path := filepath.Join(t.TempDir(), "traces.pkl")
		err := WriteTraces(t.Context(), source, madeCodes, TraceOptions{Subjects: codes}, path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("a failed call left a file")
		}
	}
}

// The order of a database's rows is no part of its contents.
func TestWriteTracesRowOrder(t *testing.T) {
	rows := func(order string) string {
		return newSource(t, bothTables(insert("train", 1, 300, 7, "control"), insert("test", 51, 300, 70, "glaucoma"),
			"CREATE TABLE other AS SELECT * FROM train ORDER BY "+order, "DELETE FROM train", "INSERT INTO train SELECT * FROM other")...)
	}
	if !bytes.Equal(writeTraces(t, rows("time"), TraceOptions{}), writeTraces(t, rows("time DESC"), TraceOptions{})) {
		t.Error("the order of rows changed the file")
	}
}

func TestWriteTracesWithoutSubjects(t *testing.T) {
	err := WriteTraces(t.Context(), manySubjects(t), func(string) (string, bool) { return "", false },
		TraceOptions{}, filepath.Join(t.TempDir(), "traces.pkl"))
	if err == nil || !strings.Contains(err.Error(), "assign codes first") {
		t.Errorf("error %v, want one that says to assign codes", err)
	}
}

// Plain Python, where it is installed, opens the file without any package.
func TestWriteTracesOpensInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	path := filepath.Join(t.TempDir(), "traces.pkl")
	if err := os.WriteFile(path, writeTraces(t, manySubjects(t), TraceOptions{}), 0o600); err != nil {
		t.Fatal(err)
	}
	script := `import pickle, sys
root = pickle.load(open(sys.argv[1], "rb"))
h = root["traces"]["H002"]
print(list(root), list(root["traces"]), list(h))
print(h["pupil_raw"][:3], h["outlier_mask"][:3], h["class_label"], root["metadata"]["n_subjects"])
assert "numpy" not in sys.modules`
	out, err := exec.Command(python, "-c", script, path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := `['traces', 'metadata'] ['H001', 'H002', 'H004', 'H005', 'H006', 'H009', 'G001', 'G002', 'G003'] ` +
		`['time', 'pupil_gt', 'pupil_raw', 'outlier_mask', 'red_stimulus', 'blue_stimulus', 'class_label']
[None, None, 5.02] [1, 1, 0] control 9
`
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("Python sees (-want +got):\n%s", diff)
	}
}
