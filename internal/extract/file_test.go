package extract

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	record := &Record{
		Head:    Head{Format: RecordFormat, RunID: "r", Verdict: Used, Subjects: []string{madeCode(1)}},
		Risks:   []float64{0.1 + 0.2, math.SmallestNonzeroFloat64},
		Scalars: map[string]Scalar{"Brier": {N: 8, Mean: ptr(1.0 / 3)}, "AUROC": {N: 8}},
	}
	path := filepath.Join(dir, "run")
	if err := Write(path, record); err != nil {
		t.Fatal(err)
	}
	var got Record
	if err := Read(path, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record, &got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	var head Head
	if err := Read(path, &head); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Head{Format: RecordFormat, RunID: "r", Verdict: Used, Subjects: []string{madeCode(1)}}, head); diff != "" {
		t.Errorf("head (-want +got):\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(path, &got); err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the same record gave different bytes")
	}
	index := &Index{Format: IndexFormat, Experiment: "1", Runs: []IndexedRun{{RunID: "a <b> & c"}, {RunID: "b", Verdict: Used}}, From: map[string]References{"b": {"stage": "a"}}}
	if err := Write(path, index); err != nil {
		t.Fatal(err)
	}
	var read Index
	if err := Read(path, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(index, &read); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
	var runs []IndexedRun
	if err := EachRun(path, func(run IndexedRun) { runs = append(runs, run) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(index.Runs, runs); diff != "" {
		t.Errorf("runs, one after another (-want +got):\n%s", diff)
	}
}

// Where TMPDIR names a directory on the same file system, drafts would be made
// there: outside the private directory.
func TestDraftsBesideTheirFile(t *testing.T) {
	elsewhere, past := t.TempDir(), time.Unix(1e9, 0)
	if err := os.Chtimes(elsewhere, past, past); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", elsewhere)
	if err := Write(filepath.Join(t.TempDir(), "run"), &Record{Head: Head{Format: RecordFormat}}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(elsewhere); err != nil || !after.ModTime().Equal(past) {
		t.Errorf("something was made in the directory that TMPDIR names; error %v", err)
	}
}

func TestFilesRefused(t *testing.T) {
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "a"), &Record{}); err == nil {
		t.Error("a record without a format was written")
	}
	if err := Write(filepath.Join(dir, "a"), &Record{Head: Head{Format: RecordFormat}, Risks: []float64{math.NaN()}}); err == nil {
		t.Error("a NaN was written")
	}
	if err := Write(filepath.Join(dir, "a"), map[string]int{}); err == nil {
		t.Error("a map was written as a record")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("failed writes left %v, %v", entries, err)
	}
	record := func(fields map[string]any) string {
		data, err := cbor.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	head := record(map[string]any{"format": RecordFormat})
	index := record(map[string]any{"format": IndexFormat, "count": 1})
	run := record(map[string]any{"run": map[string]any{"run_id": "a"}})
	for name, c := range map[string]struct {
		text string
		into any
		want string
	}{
		"format of a record":    {record(map[string]any{"format": "plr.run/0"}) + record(map[string]any{}), new(Record), "extract again"},
		"field of a record":     {head + record(map[string]any{"colour": 1}), new(Record), "another version of this program wrote it, or it is damaged; extract again with this version, which writes it anew (cbor: found unknown field"},
		"more than a record":    {head + record(map[string]any{}) + "\xa0", new(Record), "extraneous"},
		"a head alone":          {head, new(Record), "EOF"},
		"no number in a record": {head + record(map[string]any{"risks": []float64{math.NaN()}}), new(Record), "NaN"},
		"infinity in a record":  {head + record(map[string]any{"risks": []float64{math.Inf(1)}}), new(Record), "infinity"},
		"a record that is cut":  {head[:5], new(Record), "unexpected EOF"},
		"a record in JSON":      {`{"format": "plr.run/2"}`, new(Record), "unexpected EOF"},
		"nothing":               {"", new(Record), "EOF"},
		"format of an index":    {record(map[string]any{"format": "plr.index/0"}), new(Index), "extract again"},
		"field of an index":     {record(map[string]any{"format": IndexFormat, "colour": 1}), new(Index), "unknown field"},
		"more than an index":    {index + run + run, new(Index), "there is more after its last run"},
		"damage behind it":      {index + run + "\xff", new(Index), "there is more after its last run"},
		"fewer runs":            {index, new(Index), "EOF"},
		"a run that is cut":     {index + run[:7], new(Index), "EOF"},
		"field of a run":        {index + record(map[string]any{"colour": 1}), new(Index), "unknown field"},
		"an index in JSON":      {`{"format": "plr.index/2"}`, new(Index), "another version of this program wrote it, or it is damaged"},
		"format of a head":      {record(map[string]any{"format": "plr.run/0"}), new(Head), "extract again"},
		"a head that is cut":    {head[:5], new(Head), "another version of this program wrote it, or it is damaged"},
		"field of a head":       {record(map[string]any{"format": RecordFormat, "colour": 1}), new(Head), "unknown field"},
		"no index":              {``, new(Index), "EOF"},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Read(path, c.into); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
}

func TestAhead(t *testing.T) {
	const n = 200
	var held, most atomic.Int64
	read := func(i int) (int, error) {
		if now := held.Add(1); now > most.Load() {
			most.Store(now)
		}
		if i == n/2 {
			return 0, io.ErrNoProgress
		}
		return i * i, nil
	}
	var got []int
	err := Ahead(n, read, func(i, v int) error {
		held.Add(-1)
		if v != i*i || i != len(got) {
			t.Errorf("%d: %d after %d", i, v, len(got))
		}
		got = append(got, v)
		return nil
	})
	if !errors.Is(err, io.ErrNoProgress) || len(got) != n/2 {
		t.Errorf("%d were used, error %v", len(got), err)
	}
	if limit := int64(runtime.GOMAXPROCS(0)) + 2; most.Load() > limit {
		t.Errorf("%d were held at once, more than %d", most.Load(), limit)
	}
	if err := Ahead(n, func(i int) (int, error) { return i, nil }, func(i, _ int) error {
		if i == 3 {
			return io.EOF
		}
		return nil
	}); !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
}
