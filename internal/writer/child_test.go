package writer

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// Write starts this test binary again.
func TestMain(m *testing.M) {
	if os.Getenv(ChildEnv) == ChildName {
		os.Exit(RunChild(os.Stdin, os.Stderr))
	}
	os.Exit(m.Run())
}

// few are rows with cells of every type, those of two tables between each other.
func few(add func(table string, cells ...any) error) error {
	half := 0.5
	return errors.Join(
		add(schema.Checks, 1, "auroc_mean", &half, (*float64)(nil), 1e-9, false),
		add(schema.Provenance, 1, strings.Repeat("0a", 32), int64(3)<<31, "plr.run/1"),
		add(schema.Checks, 2, "auroc_mean", nil, 0.25, 1e-9, true),
		add(schema.UpstreamMetrics, "imputation", "other-1", nil, "imputation_mae", math.Inf(1), nil, nil),
		add(schema.Meta, "schema_version", "1"),
	)
}

// A stream that is cut anywhere, or changed, makes no file that passes.
func TestChildRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "draft.db")
	var whole bytes.Buffer
	if _, err := Rows(few).stream(&whole, path); err != nil {
		t.Fatal(err)
	}
	stream := whole.Bytes()
	cases := map[string][]byte{
		"empty":        {},
		"other":        []byte("SELECT 1; -- and so on, longer than the magic"),
		"cut at end":   stream[:len(stream)-1],
		"cut in half":  stream[:len(stream)/2],
		"cut at start": stream[:len(streamMagic)+3],
		"flipped":      slices.Concat(stream[:len(stream)-60], []byte{stream[len(stream)-60] ^ 1}, stream[len(stream)-59:]),
	}
	for name, data := range cases {
		var complaint bytes.Buffer
		if code := RunChild(bytes.NewReader(data), &complaint); code == 0 {
			t.Errorf("%s: accepted", name)
		}
		if s := complaint.String(); !strings.HasPrefix(s, complaintPrefix) || strings.Count(s, "\n") != 1 || strings.Contains(s, dir) {
			t.Errorf("%s: it says %q", name, s)
		}
		if db, err := duckfile.Open(t.Context(), path); err == nil { // rolled back: nothing in it
			found, err := duckfile.Tables(t.Context(), db)
			if err := errors.Join(err, db.Close()); err != nil || len(found) > 0 {
				t.Errorf("%s: a file with %d tables, error %v", name, len(found), err)
			}
		}
		_ = os.Remove(path)
		_ = os.Remove(duckfile.LogPath(path))
	}
	// The control: whole, it is accepted.
	var complaint bytes.Buffer
	if code := RunChild(bytes.NewReader(stream), &complaint); code != 0 {
		t.Errorf("whole: %s", complaint.String())
	}
}

// A row that is none of its table stops the writing, whoever goes on after it.
func TestRowsOfTheSchema(t *testing.T) {
	for want, row := range map[string][]any{
		"meta: row 2 has 1 cells, the table 2 columns":         {schema.Meta, "key"},
		"meta.value: row 2 holds a <nil>":                      {schema.Meta, "key", nil},
		"checks.tolerance: row 1 holds a float64":              {schema.Checks, 1, "auroc_mean", nil, nil, math.NaN(), true},
		"checks.config_id: row 1 holds a float64":              {schema.Checks, 1.0, "auroc_mean", nil, nil, 1e-9, true},
		"the name of a person: the table is not of the schema": {"the name of a person", 1},
	} {
		rows := Rows(func(add func(table string, cells ...any) error) error {
			err := add(schema.Meta, "schema_version", "1")
			wrong := add(row[0].(string), row[1:]...)
			if err != nil || wrong == nil {
				t.Errorf("%s: errors %v and %v", want, err, wrong)
			}
			if after := add(schema.Meta, "estimand", "mean_risk"); after != wrong {
				t.Errorf("%s: the row after it: %v", want, after)
			}
			return nil
		})
		if _, err := rows.stream(new(bytes.Buffer), "/x"); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// What the writer complains of reaches the caller as one sentence without paths.
func TestWriterComplains(t *testing.T) {
	dir := t.TempDir()
	draft := filepath.Join(dir, "folder")
	if err := os.Mkdir(draft, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := runWriter(t.Context(), draft, few)
	if err == nil || strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "the file") {
		t.Errorf("error %v", err)
	}
	var b limitedBuffer
	fmt.Fprintf(&b, "SIGABRT: abort\nPC=0x1\n%sdisk full\ngoroutine 1\n", complaintPrefix)
	fmt.Fprint(&b, strings.Repeat("x", 2*keptComplaint))
	if s := b.sentence(); s != "disk full" || b.kept.Len() != keptComplaint {
		t.Errorf("sentence %q, %d bytes kept", s, b.kept.Len())
	}
}
