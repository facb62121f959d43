package extract

import (
	"archive/tar"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/foundation-plr/pipeline/internal/config"
)

// TestIndexOfExample reads the bundled store, unpacked no further than
// IndexInputs says, and compares with what plain Python read in it.
func TestIndexOfExample(t *testing.T) {
	root := t.TempDir()
	contents, names := IndexInputs(config.Stages())
	unpackDeclared(t, root, contents, names)
	x := mustIndex(t, root, IndexOptions{})
	if !x.Synthetic || x.Experiment != classificationID {
		t.Errorf("experiment %s, synthetic %v", x.Experiment, x.Synthetic)
	}
	if err := x.Err(); err != nil {
		t.Error(err)
	}

	file, err := os.Open("../../testdata/expected/truth.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string]int{}
	for i, name := range rows[0] {
		columns[name] = i
	}
	truth := map[string][]string{}
	for _, row := range rows[1:] {
		truth[row[columns["run_id"]]] = row
	}
	if len(x.Runs) != len(truth) {
		t.Errorf("%d runs, Python saw %d", len(x.Runs), len(truth))
	}

	verdicts := map[Verdict]int{}
	byConfiguration := map[Configuration]IndexedRun{}
	for _, r := range x.Runs {
		verdicts[r.Verdict]++
		row, ok := truth[r.RunID]
		if !ok {
			t.Errorf("run %s is not in truth.csv", r.RunID)
			continue
		}
		if name := row[columns["run_name"]]; r.Name != name {
			t.Errorf("run %s is called %q, want %q", r.RunID, r.Name, name)
		}
		if deleted := row[columns["lifecycle"]] == "deleted"; deleted != (r.Verdict == Deleted) {
			t.Errorf("run %s: deleted %v, verdict %s", r.RunID, deleted, r.Verdict)
		}
		if failed := row[columns["status"]] == "4"; failed != (r.Verdict == Failed) {
			t.Errorf("run %s: failed %v, verdict %s", r.RunID, failed, r.Verdict)
		}
		if r.Verdict != Used {
			continue
		}
		if want := path.Join(classificationID, r.RunID, "artifacts/metrics/metrics_"+r.Name+".pickle"); r.Artifact != want {
			t.Errorf("run %s: artifact %s, want %s", r.RunID, r.Artifact, want)
		}
		if other, twice := byConfiguration[r.Configuration]; twice {
			t.Errorf("runs %s and %s are both used for %v", other.RunID, r.RunID, r.Configuration)
		}
		byConfiguration[r.Configuration] = r
	}
	if diff := cmp.Diff(map[Verdict]int{Used: 52, Superseded: 1, Failed: 1, Deleted: 1}, verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	for _, r := range x.Runs {
		if r.Verdict != Superseded {
			continue
		}
		better := byConfiguration[r.Configuration]
		end := func(id string) string { return truth[id][columns["end_time"]] }
		if end(better.RunID) <= end(r.RunID) { // 13 digits each
			t.Errorf("run %s, which ended at %s, supersedes one that ended at %s", better.RunID, end(better.RunID), end(r.RunID))
		}
	}
}

// unpackDeclared unpacks the store's files that the patterns name to root, those of
// which only the name counts as empty files.
func unpackDeclared(t *testing.T, root string, contents, names []string) {
	t.Helper()
	file, err := os.Open("../../data/synthetic/example.tar.zst")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stream, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for archive := tar.NewReader(stream); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		name, inStore := strings.CutPrefix(path.Clean(header.Name), "mlruns/")
		if !inStore || header.Typeflag != tar.TypeReg {
			continue
		}
		data := []byte{}
		switch {
		case matches(t, contents, name):
			if data, err = io.ReadAll(archive); err != nil {
				t.Fatal(err)
			}
		case !matches(t, names, name):
			continue
		}
		target := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
