package sourcedb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/foundation-plr/pipeline/internal/archive"
	"github.com/foundation-plr/pipeline/internal/pickle"
)

// TestExample writes the demo traces of the bundled example and reads them with
// this module's own reader.
func TestExample(t *testing.T) {
	const name = "SERI_PLR_GLAUCOMA.db"
	dir := filepath.Join(t.TempDir(), "example")
	if err := archive.Unpack(t.Context(), "../../data/synthetic/example.tar.zst", dir, archive.DefaultLimits, func(file string) bool { return file == name }); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	source, err := Read(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{}
	for i, s := range source.Subjects {
		if s.Outcome != nil {
			codes[s.Original] = fmt.Sprintf("%c%03d", "HG"[*s.Outcome], i+1)
		}
	}
	lookup := func(original string) (string, bool) { code, ok := codes[original]; return code, ok }
	out := filepath.Join(t.TempDir(), "traces.pkl")
	if err := WriteTraces(t.Context(), path, lookup, TraceOptions{}, out); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for original := range codes {
		if bytes.Contains(data, []byte(original)) {
			t.Fatal("the traces hold an original code")
		}
	}
	root, err := pickle.Decode(data, pickle.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	traces, _ := decodeTraces(t, data)
	if len(traces) != 12 {
		t.Errorf("%d subjects, want 12", len(traces))
	}
	for code := range traces {
		v, err := pickle.At(root, "traces", code.(string))
		if err != nil {
			t.Fatal(err)
		}
		const points = 200
		lists := map[string][]any{}
		for _, key := range []string{"time", "pupil_gt", "pupil_raw", "outlier_mask", "red_stimulus", "blue_stimulus"} {
			item, err := pickle.At(v, key)
			if err != nil {
				t.Fatal(err)
			}
			if lists[key], err = pickle.List(item); err != nil {
				t.Fatal(err)
			}
			if len(lists[key]) != points {
				t.Errorf("%s %s: %d points, want %d", code, key, len(lists[key]), points)
			}
		}
		for i, masked := range lists["outlier_mask"] {
			if n, err := pickle.Int(masked); err != nil || (n == 1) != (lists["pupil_raw"][i] == nil) {
				t.Errorf("%s: mask %v and pupil_raw %v at point %d", code, masked, lists["pupil_raw"][i], i)
				break
			}
		}
	}
}
