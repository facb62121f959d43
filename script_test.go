package pipeline_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs each file of testdata/script against the real program,
// compiled as a user would compile it. Beside testscript's own commands there are
//
//	built [flows|source] put a workspace there as it is after its first build
//	store DIR [RUN...]   write a small tracking store of one's own: the named
//	                     runs of the bundled example, or the first twelve used
//	example              put the bundled example's archive into the workspace
//	touchall DIR...      set the times of all files below to now
//	digest DIR FILE      write a list of all files below DIR with their digests
//	exitcode N PROGRAM   run a program that must end with code N
//	pickle, meta         damage files of a store, and mend them
//	source FILE          write the example's source database
//	flows DIR            add to a store the example's experiments before classification
//	sql FILE STATEMENT   change a DuckDB file
//	query FILE SELECT    print rows of a DuckDB file, cells apart by spaces
//	database STORE FILE  write a file store as a SQLite store
//	elsewhere STORE DIR  move the artifacts of a file store out of it
//	server STORE         serve a file store as a tracking server; -stop ends it
//	unzip FILE DIR       unpack a zip file
//	hold FILE            another process has a DuckDB file open for writing
func TestScript(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the program and builds whole studies")
	}
	repo, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	bin := filepath.Dir(compiled(t))
	unpacked := func() string { // testscript reports a panic as the script's failure
		dir, err := unpackOnce()
		if err != nil {
			panic(err)
		}
		return dir
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("NO_COLOR", "1")
			return os.CopyFS(filepath.Join(env.WorkDir, "configs"), os.DirFS(filepath.Join(repo, "configs")))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"built": copyBuilt,
			"store": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) == 0 {
					ts.Fatalf("usage: store DIR [RUN...]")
				}
				ts.Check(writeStore(unpacked(), ts.MkAbs(args[0]), args[1:]))
			},
			"flows": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: flows DIR")
				}
				ts.Check(writeFlows(unpacked(), ts.MkAbs(args[0])))
			},
			"example": func(ts *testscript.TestScript, neg bool, args []string) {
				data, err := os.ReadFile(filepath.Join(repo, exampleArchive))
				ts.Check(err)
				ts.Check(os.MkdirAll(ts.MkAbs("data/synthetic"), 0o755))
				ts.Check(os.WriteFile(ts.MkAbs(exampleArchive), data, 0o644))
			},
			"touchall":  touchAll,
			"digest":    digestTree,
			"exitcode":  exitCode,
			"pickle":    damagePickle,
			"meta":      damageMeta,
			"sql":       changeDatabase,
			"query":     queryDatabase,
			"hold":      holdDatabase,
			"unzip":     unzip,
			"database":  makeDatabase,
			"elsewhere": moveArtifacts,
			"server":    serveStore(),
			"source": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: source FILE")
				}
				ts.Check(copyTree(filepath.Join(unpacked(), "SERI_PLR_GLAUCOMA.db"), ts.MkAbs(args[0])))
			},
		},
	})
}

// exampleArchive is the bundled example below the root of the module.
const exampleArchive = "data/synthetic/example.tar.zst"

// experiment is the example's classification experiment.
const experiment = "253031330985650090"

// upstreamExperiments are those of outlier detection, imputation and featurization.
var upstreamExperiments = []string{"996740926475477194", "940304421003085572", "143964216992376241"}

// writeStore copies runs of the example, with the files that a reader of the
// store may look at; the models, which nothing reads, stay behind.
func writeStore(example, dst string, runs []string) error {
	src := filepath.Join(example, "mlruns", experiment)
	if len(runs) == 0 {
		entries, err := os.ReadDir(src)
		if err != nil {
			return err
		}
		for _, e := range entries {
			pickles, err := filepath.Glob(filepath.Join(src, e.Name(), "artifacts/metrics/*.pickle"))
			if err != nil {
				return err
			}
			if len(pickles) == 1 && len(runs) < 12 {
				runs = append(runs, e.Name())
			}
		}
	}
	parts := []string{"meta.yaml", "tags"}
	for _, run := range runs {
		for _, part := range []string{"meta.yaml", "params", "tags", "artifacts/metrics"} {
			parts = append(parts, filepath.Join(run, part))
		}
	}
	for _, part := range parts {
		if err := copyTree(filepath.Join(src, part), filepath.Join(dst, experiment, part)); err != nil {
			return err
		}
	}
	return nil
}

// writeFlows adds the example's experiments before classification to a store.
func writeFlows(example, dst string) error {
	for _, id := range upstreamExperiments {
		if err := copyTree(filepath.Join(example, "mlruns", id), filepath.Join(dst, id)); err != nil {
			return err
		}
	}
	return nil
}

func copyTree(src, dst string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(dst, os.DirFS(src))
	}
	data, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	return os.WriteFile(dst, data, 0o644)
}

// touchAll sets the times of every file below the named directories to now.
func touchAll(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: touchall DIR...")
	}
	touched := 0
	for _, dir := range args {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			touched++
			now := time.Now()
			return os.Chtimes(name, now, now)
		}))
	}
	if touched == 0 {
		ts.Fatalf("nothing to touch in %v", args)
	}
}

// digestTree writes one line a file below a directory, its digest and its name,
// so that two states can be compared with cmp.
func digestTree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: digest DIR FILE")
	}
	dir := ts.MkAbs(args[0])
	var lines []string
	ts.Check(filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		lines = append(lines, fmt.Sprintf("%x %s\n", sha256.Sum256(data), rel))
		return err
	}))
	if len(lines) == 0 {
		ts.Fatalf("no files below %s", args[0])
	}
	slices.Sort(lines)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.Join(lines, "")), 0o644))
}
