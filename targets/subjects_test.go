package targets

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/archive"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/sourcedb"
)

// A subject of a test set that the lookup does not know stops the checkpoint,
// and the database that was published stays as it is, with nothing beside it.
// The step subjects would give it a code; it is left out here, as it would be by
// a fault in it.
func TestUnmappedSubjectStopsTheCheckpoint(t *testing.T) {
	repo, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := workspace(t)
	ctx := t.Context()
	const experiment = "mlruns/253031330985650090/"
	kept := map[string]bool{}
	err = archive.Unpack(ctx, filepath.Join(repo, archiveFile), filepath.Join(dir, "example"), archive.DefaultLimits, func(name string) bool {
		rest, ok := strings.CutPrefix(name, experiment)
		run, inside, nested := strings.Cut(rest, "/")
		switch {
		case !ok || !nested || run == "tags":
			return ok
		case !kept[run] && len(kept) == 2:
			return false
		}
		kept[run] = true
		return inside == "meta.yaml" || strings.HasPrefix(path.Dir(inside), "params") || strings.HasPrefix(path.Dir(inside), "tags") || strings.HasPrefix(inside, "artifacts/metrics/")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("STUDY", "own")
	t.Setenv("MLFLOW_TRACKING_URI", filepath.Join(dir, "example/mlruns"))
	if said, err := says(t, func() error { return Extract(ctx) }); err != nil {
		t.Fatal(err, said)
	}

	var said bytes.Buffer
	s, err := openTo(&said)
	if err != nil {
		t.Fatal(err)
	}
	files := s.ledgerFiles()
	lookup, err := anonymize.ReadLookup(files.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	key, err := files.ReadKey(lookup)
	if err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Glob(filepath.Join(s.settings.PrivateDir, "runs/*"+recordSuffix))
	if err != nil || len(records) == 0 {
		t.Fatalf("%d records, error %v", len(records), err)
	}
	var record extract.Record
	if err := extract.Read(records[0], &record); err != nil {
		t.Fatal(err)
	}
	unmapped := record.Subjects[0]
	var subjects []anonymize.Subject
	for _, code := range lookup.Codes() {
		original, _ := lookup.Original(code)
		outcome := 0
		if code[0] == 'G' {
			outcome = 1
		}
		if original != unmapped {
			subjects = append(subjects, anonymize.Subject{Original: original, Outcome: &outcome})
		}
	}
	short := anonymize.NewLookup()
	if _, _, err := short.Assign(subjects, key); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files.Lookup); err != nil {
		t.Fatal(err)
	}
	if err := short.WriteFile(files.Lookup); err != nil {
		t.Fatal(err)
	}
	published, err := os.ReadFile(s.settings.PublicDB)
	if err != nil {
		t.Fatal(err)
	}

	steps := slices.DeleteFunc(s.extraction(), func(step build.Step) bool { return step.Name == "subjects" })
	graph, err := s.graph(steps)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := graph.Build(ctx); err == nil {
		t.Error("the checkpoint was written")
	}
	contains(t, said.String(), "failed", "checkpoint", "1 subjects of the runs have no code in the lookup")
	if strings.Contains(said.String(), unmapped) {
		t.Error("the subject's code was printed")
	}
	if now, err := os.ReadFile(s.settings.PublicDB); err != nil || !bytes.Equal(now, published) {
		t.Errorf("the database is not what it was; error %v", err)
	}
	if err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && (strings.Contains(d.Name(), ".build-staging") || strings.HasSuffix(d.Name(), ".db") && name != s.settings.PublicDB) {
			t.Errorf("%s was left behind", name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// A lookup of the Python reference is taken over with the codes that a source may have,
// and no others: their subjects would get other codes.
func TestForeignLookupHasReadableCodes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lookup.yaml")
	for _, original := range []string{"PLR1001", "PLR 1001", "Ångström-7", "PLR1001 ", "\tPLR1001", "PLR\u200b1001", "PLR\u00a01001", "\u00a0PLR1001"} {
		text := fmt.Sprintf("lookup: {H001: %[1]q}\nreverse_lookup: {%[1]q: H001}\n", original)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := anonymize.ReadLookup(file); (err == nil) != sourcedb.Readable(original) {
			t.Errorf("%q may be in a source: %v; in a lookup: %v", original, sourcedb.Readable(original), err)
		}
	}
}
