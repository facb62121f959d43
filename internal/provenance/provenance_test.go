package provenance

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/sidecar"
)

const (
	classified  = "0123456789abcdef0123456789abcdef"
	leftOut     = "1123456789abcdef0123456789abcdef"
	featurized  = "2123456789abcdef0123456789abcdef"
	digest      = "aa11"
	otherDigest = "bb22"
)

// original is a code as the study writes them, made up at run time.
var original = fmt.Sprintf("PLR%04d", 7001)

// study has a database of one configuration, and a private side that read its
// artifact when it had the given digest; "" for no private side.
func study(t *testing.T, read string) *Study {
	t.Helper()
	dir := t.TempDir()
	s := &Study{
		Database: filepath.Join(dir, "public.db"),
		Index:    filepath.Join(dir, "index"),
		Record:   func(run string) string { return filepath.Join(dir, run) },
		Key:      func() ([]byte, error) { return []byte(anonymize.ExampleKey), nil },
		Redact:   func(text string) string { return strings.ReplaceAll(text, original, "[code]") },
	}
	keyed, err := anonymize.KeyedDigest([]byte(anonymize.ExampleKey), digest)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", s.Database)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE TABLE runs (run_id TEXT, verdict TEXT, reason TEXT, config_id INTEGER)",
		"INSERT INTO runs VALUES ('" + classified + "', 'used', NULL, 3), ('" + leftOut + "', 'superseded', 'a better run', NULL)",
		"CREATE TABLE essential_metrics (config_id INTEGER, run_id TEXT, outlier_method TEXT, imputation_method TEXT, classifier TEXT, featurization TEXT)",
		"INSERT INTO essential_metrics VALUES (3, '" + classified + "', 'LOF', 'SAITS', 'CatBoost', 'simple1.0')",
		"CREATE TABLE provenance (config_id INTEGER, artifact_blake3_keyed TEXT, bytes BIGINT, reader_version TEXT)",
		"INSERT INTO provenance VALUES (3, '" + keyed + "', 42, 'plr.run/3')",
		"CREATE TABLE lineage (run_id TEXT, stage TEXT, from_run_id TEXT, state TEXT, agrees BOOLEAN)",
		"INSERT INTO lineage VALUES ('" + classified + "', 'featurization', '" + featurized + "', 'found', false), ('" + classified + "', 'outlier_detection', NULL, 'not_named', NULL)",
		"CREATE TABLE outlier_runs (run_id TEXT, verdict TEXT, reason TEXT)",
		"CREATE TABLE imputation_runs (run_id TEXT, verdict TEXT, reason TEXT)",
		"CREATE TABLE featurization_runs (run_id TEXT, verdict TEXT, reason TEXT)",
		"INSERT INTO featurization_runs VALUES ('" + featurized + "', 'used', NULL)",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if read == "" {
		return s
	}
	record := &extract.Record{Head: extract.Head{Format: extract.RecordFormat, RunID: classified}, Artifact: extract.Artifact{BLAKE3: read, Bytes: 42}}
	if err := extract.Write(s.Record(classified), record); err != nil {
		t.Fatal(err)
	}
	index := &extract.Index{Format: extract.IndexFormat, Runs: []extract.IndexedRun{{RunID: classified, Artifact: "1/" + original + ".pickle",
		Remote: &extract.Remote{Pickle: extract.RemoteFile{Version: "v7"}}}}}
	if err := extract.Write(s.Index, index); err != nil {
		t.Fatal(err)
	}
	return s
}

func written(t *testing.T, row *Row) string {
	t.Helper()
	var out bytes.Buffer
	if err := row.Write(&out, func(text string) string { return text }); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRowOfAConfiguration(t *testing.T) {
	row, err := study(t, digest).Row(t.Context(), "config:3")
	if err != nil {
		t.Fatal(err)
	}
	keyed := row.Runs[0].ArtifactKeyed
	yes, no := true, false
	want := &Row{ConfigID: 3, Configuration: &sidecar.Configuration{Outlier: "LOF", Imputation: "SAITS", Classifier: "CatBoost", Featurization: "simple1.0"},
		Runs: []Run{{Run: classified, Configuration: 3, ArtifactKeyed: keyed, Bytes: 42, Reader: "plr.run/3",
			Artifact: digest, Published: &yes, File: "1/[code].pickle", Version: "v7",
			Origins: []Origin{{Stage: "outlier_detection", State: "not_named"}, {Stage: "featurization", Run: featurized, State: "found", Agrees: &no}}}}}
	if diff := cmp.Diff(want, row); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	text := `configuration 3
  of       outlier LOF, imputation SAITS, classifier CatBoost, featurization simple1.0
  run      ` + classified + `, configuration 3 of the database
  artifact 42 bytes, read by plr.run/3; keyed digest ` + keyed[:12] + `
           of the file with the digest aa11
           1/[code].pickle of the tracking store
           which the server calls v7
  from     outlier detection: not named
  from     featurization run ` + featurized + `: found, of other methods than the run says

`
	if diff := cmp.Diff(text, written(t, row)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What the database says is told also where the private side cannot be read, such as a
// record that another version wrote.
func TestPrivateSideThatCannotBeRead(t *testing.T) {
	for name, spoil := range map[string]func(s *Study) error{
		"record": func(s *Study) error {
			return os.WriteFile(s.Record(classified), []byte(`{"format": "plr.run/1"}`), 0o600)
		},
		"index": func(s *Study) error { return os.WriteFile(s.Index, []byte("half"), 0o600) },
		"key": func(s *Study) error {
			s.Key = func() ([]byte, error) { return nil, errors.New("the key of " + original + " is damaged") }
			return nil
		},
	} {
		s := study(t, digest)
		if err := spoil(s); err != nil {
			t.Fatal(err)
		}
		row, err := s.Row(t.Context(), "config:3")
		if err != nil || len(row.Runs) != 1 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		run := row.Runs[0]
		if run.Untold == "" || strings.Contains(run.Untold, original) || run.File != "" || run.Bytes != 42 || len(run.Origins) != 2 {
			t.Errorf("%s: %+v", name, run)
		}
		if text := written(t, row); !strings.Contains(text, "more is not known: "+run.Untold+"\n") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// What the private side says depends on what it read last, and on whether it is there.
func TestArtifactAsItWasRead(t *testing.T) {
	for read, want := range map[string]string{otherDigest: "not of the file with the digest bb22", "": ""} {
		row, err := study(t, read).Row(t.Context(), classified)
		if err != nil {
			t.Fatal(err)
		}
		run := row.Runs[0]
		if (run.Published == nil) != (read == "") || run.Published != nil && *run.Published || run.Artifact != read {
			t.Errorf("read as %q: artifact %q, published %v", read, run.Artifact, run.Published)
		}
		text := written(t, row)
		if !strings.Contains(text, want) || strings.Contains(text, "with the digest") != (want != "") {
			t.Errorf("read as %q:\n%s", read, text)
		}
	}
}

func TestRows(t *testing.T) {
	s := study(t, "")
	for what, want := range map[string]string{
		classified:              "run " + classified + ": used\n",
		RunPrefix + leftOut:     "run " + leftOut + ": superseded, because: a better run\n\n",
		featurized:              "run " + featurized + " of the stage featurization: used\n  origin of run " + classified + "\n\n",
		strings.Repeat("f", 32): "",
		"validate":              "",
	} {
		row, err := s.Row(t.Context(), what)
		switch {
		case err != nil:
			t.Errorf("%s: %v", what, err)
		case row == nil:
			if want != "" {
				t.Errorf("%s: nothing, want %q", what, want)
			}
		case want == "" || !strings.HasPrefix(written(t, row), want):
			t.Errorf("%s: %q, want %q", what, written(t, row), want)
		}
	}
}

func TestRowThatIsNone(t *testing.T) {
	s := study(t, "")
	for what, want := range map[string]string{"config:x": "named by its config_id", "config:4": "public.db has no configuration 4"} {
		_, err := s.Row(t.Context(), what)
		var misnamed *NameError
		if !errors.As(err, &misnamed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a NameError with %q", what, err, want)
		}
	}
	s.Database += ".missing"
	if row, err := s.Row(t.Context(), classified); row != nil || err != nil {
		t.Errorf("without a database: %v, %v", row, err)
	}
	if _, err := s.Row(t.Context(), "config:3"); err == nil || !strings.Contains(err.Error(), "mage extract makes it") {
		t.Errorf("without a database: %v", err)
	}
}

// A key that cannot be read is no missing one.
func TestKeyThatCannotBeRead(t *testing.T) {
	s := study(t, digest)
	s.Key = func() ([]byte, error) { return nil, fs.ErrPermission }
	row, err := s.Row(t.Context(), classified)
	if err != nil || row.Runs[0].Untold != fs.ErrPermission.Error() {
		t.Errorf("%+v, error %v", row, err)
	}
	s.Key = func() ([]byte, error) { return nil, fs.ErrNotExist }
	row, err = s.Row(t.Context(), classified)
	if err != nil || row.Runs[0].Published != nil || row.Runs[0].Untold != "" {
		t.Errorf("without a key: %+v, %v", row, err)
	}
}

func numbers() *sidecar.Document {
	auroc, n := 0.75, 208
	best := &sidecar.Configuration{Outlier: "LOF", Imputation: "SAITS", Classifier: "CatBoost", Featurization: "simple1.0"}
	none := *best
	none.Classifier = "TabPFN"
	return &sidecar.Document{
		Queries: []sidecar.Query{{Panel: "pipelines", SQL: "SELECT 1", Rows: 1, BLAKE3: strings.Repeat("c", 64)}},
		Numbers: []sidecar.Number{
			{Name: "bestAUROC", Value: &sidecar.Value{Estimate: &auroc, CI: &[2]float64{0.5, 0.875}, CIMethod: "delong_logit"}, Meaning: "the best", Query: "pipelines", Configuration: best},
			{Name: "subjects", Count: &n, Meaning: "subjects"},
			{Name: "lost", Value: &sidecar.Value{Undefined: "one_class"}, Meaning: "one that is gone", Configuration: &none},
		},
	}
}

func TestNumber(t *testing.T) {
	s := study(t, "")
	for macro, want := range map[string]string{
		"bestAUROC": "PLRbestAUROC = 0.75, interval 0.5 to 0.875 (delong_logit)\n  the best\n  sidecar  numbers.json\n" +
			"  query    pipelines: 1 rows with the digest cccccccccccc\n           SELECT 1\n" +
			"  of       outlier LOF, imputation SAITS, classifier CatBoost, featurization simple1.0\n  run      " + classified + ", configuration 3",
		"bestAUROCCI": "PLRbestAUROCCI = 0.75",
		"subjects":    "PLRsubjects = 208\n  subjects\n  sidecar  numbers.json\n\n",
		"lost":        "PLRlost = undefined: " + sidecar.ReasonText("one_class") + "\n",
	} {
		n := s.Number(t.Context(), numbers(), "numbers.json", macro)
		if n == nil {
			t.Errorf("%s: nothing", macro)
			continue
		}
		var out bytes.Buffer
		if err := n.Write(&out, s.Redact); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: %q, want it to begin with %q", macro, out.String(), want)
		}
		if gone := strings.Contains(out.String(), "the database as it stands has no such configuration"); gone != (macro == "lost") {
			t.Errorf("%s: %q", macro, out.String())
		}
	}
	if n := s.Number(t.Context(), numbers(), "numbers.json", "subjectsCI"); n != nil {
		t.Errorf("a count has an interval: %+v", n)
	}
	if diff := cmp.Diff([]string{"x:PLRbestAUROC", "x:PLRbestAUROCCI", "x:PLRsubjects", "x:PLRlost"}, Macros(numbers(), "x:")); diff != "" {
		t.Errorf("macros (-want +got):\n%s", diff)
	}
}
