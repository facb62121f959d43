package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/archive"
	"github.com/foundation-plr/pipeline/internal/checkpoint"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/sourcedb"
	"github.com/foundation-plr/pipeline/internal/writer"
)

// Files of the workspace and of the private directory.
const (
	registryFile = "configs/registry.yaml"
	archiveFile  = "data/synthetic/example.tar.zst"

	indexFile  = "index.cbor"
	lookupFile = "subject_lookup.yaml"
	keyFile    = "lookup.key"
	tracesFile = "demo_subjects_traces.pkl"

	recordSuffix = ".cbor" // of the records of runs, by id

	stepCheckpoint = "checkpoint"
)

// The example's archive is unpacked as one tree into the root of its store.
const (
	unpackedRoot = "data/synthetic/store"
	unpackedTree = "example"
)

// logSuffix ends the name of the write-ahead log that DuckDB keeps beside a
// database: readers refuse a database with one, so it is an input of theirs.
const logSuffix = ".wal"

// withLog are the inputs of a step that reads a database file.
func withLog(db build.Ref) []build.Input {
	return []build.Input{build.File(db.Root, db.Path), build.Glob(db.Root, literally(db.Path+logSuffix))}
}

// readRegistry reads the registry that the step declares: as it is when the step
// runs, not as it was when the program started.
func readRegistry(t *build.Task) (*config.Registry, error) {
	return config.LoadRegistry(t.Path(build.Ref{Root: rootWorkspace, Path: registryFile}))
}

// poolMemory bounds how many bytes reading pickles takes at once, whatever
// JOBS says.
const poolMemory = "memory"

// storeRoot is the directory that refs of the tracking store are relative to; ""
// if the store has no files on this machine, or none that is known of.
func (s *study) storeRoot() string {
	switch {
	case s.example():
		return filepath.Join(s.workspace, unpackedRoot)
	case s.probe != nil:
		return s.probe.base
	}
	return s.settings.StorePath
}

// inStore is the path of a file of the tracking store below its root, which
// for the example holds the source database, too.
func (s *study) inStore(name string) string {
	if s.settings.StorePath == "" || s.storeRoot() == s.settings.StorePath {
		return name
	}
	return path.Join(below(s.storeRoot(), s.settings.StorePath), name)
}

// below is the slash path of a file under a root that holds it.
func below(root, name string) string {
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return name // one absolute path and one relative: the engine refuses it
	}
	return filepath.ToSlash(rel)
}

// source is the source database, if the study has one.
func (s *study) source() (build.Ref, bool) {
	switch {
	case s.example():
		return build.Ref{Root: rootStore, Path: below(s.storeRoot(), s.settings.SourceDB)}, true
	case s.settings.SourceDB != "":
		return build.Ref{Root: rootSource, Path: filepath.Base(s.settings.SourceDB)}, true
	}
	return build.Ref{}, false
}

// database is the public database.
func (s *study) database() build.Ref {
	return build.Ref{Root: rootDatabase, Path: filepath.Base(s.settings.PublicDB)}
}

// extraction is block 1: from the tracking store to the public database.
func (s *study) extraction() []build.Step {
	steps := []build.Step{s.index(), s.subjects(), s.checkpoint()}
	if s.tabulates() {
		steps = append(steps, s.upstream())
	}
	if s.example() {
		steps = append(steps, s.unpack())
	}
	if _, ok := s.source(); ok {
		return append(steps, s.traces())
	}
	s.say("traces: skipped, because no source database is configured (PLR_SOURCE_DB)")
	return steps
}

// unpack unpacks of the example what the other steps read: a sixteenth of
// its 12,500 files, each of which every build has to look at.
func (s *study) unpack() build.Step {
	packed := build.Ref{Root: rootWorkspace, Path: archiveFile}
	tree := build.Ref{Root: rootStore, Path: unpackedTree}
	store := below(filepath.Join(s.storeRoot(), unpackedTree), s.settings.StorePath)
	contents, _ := extract.IndexInputs(config.Stages())
	patterns := []string{below(filepath.Join(s.storeRoot(), unpackedTree), s.settings.SourceDB)}
	for _, pattern := range slices.Concat(contents, extract.Artifacts(), exampleFlowPatterns()) {
		patterns = append(patterns, path.Join(store, pattern))
	}
	return build.Step{
		Name:    "unpack",
		Doc:     "unpack the bundled example store",
		Inputs:  []build.Input{build.File(packed.Root, packed.Path)},
		Outputs: []build.Output{build.OutTree(tree.Root, tree.Path)},
		Params:  map[string]any{"patterns": patterns},
		Code:    []string{"internal/archive"},
		Run: func(ctx context.Context, t *build.Task) error {
			return archive.Unpack(ctx, t.Path(packed), t.Out(tree), archive.DefaultLimits, func(name string) bool {
				return slices.ContainsFunc(patterns, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, name) })
			})
		},
	}
}

// run reads one pickle. Its parameters hold what the index says of the run, so
// a renamed run is read anew and its neighbours are not. With keepRisks its record
// holds the risks of every refit. There are as many of these steps as the store has
// runs, so what can be made of the run is made when it is asked for.
func (s *study) run(run *extract.IndexedRun, keepRisks bool) build.Step {
	if run.Remote != nil {
		return s.runOnServer(run, keepRisks)
	}
	pickle, out := s.pickleOf(run), recordOf(run)
	return build.Step{
		Name:       "run:" + run.RunID,
		Doc:        "read one run's pickle and compute its measures",
		Inputs:     []build.Input{build.File(pickle.Root, pickle.Path), s.codesOf(run)},
		Outputs:    []build.Output{build.Out(out.Root, out.Path)},
		MakeParams: func() map[string]any { return s.paramsOf(run, keepRisks) },
		Code:       []string{"internal/extract"},
		Pool:       poolMemory,
		Weigh:      weightOf,
		Redact:     func(text string) string { return unnamed(text, run) },
		Run: func(_ context.Context, t *build.Task) error {
			pickle := s.pickleOf(run)
			options := extract.RunOptions{Digest: t.Digest(pickle), KeepRisks: keepRisks}
			for _, file := range t.Files(s.codesOf(run)) {
				options.CodesPath, options.CodesDigest = t.Path(file), t.Digest(file)
			}
			return s.record(t, t.Path(pickle), options, run)
		},
	}
}

// runOnServer is run for a pickle that a tracking server has. No file stands for
// it: what the server says of it is in the parameters.
func (s *study) runOnServer(run *extract.IndexedRun, keepRisks bool) build.Step {
	out := recordOf(run)
	return build.Step{
		Name:       "run:" + run.RunID,
		Doc:        "fetch one run's pickle, read it and compute its measures",
		Outputs:    []build.Output{build.Out(out.Root, out.Path)},
		MakeParams: func() map[string]any { return s.paramsOf(run, keepRisks) },
		Probed:     s.probed(),
		Code:       []string{"internal/extract"},
		Pool:       poolMemory,
		Weight:     weightOf(run.Remote.Pickle.Size),
		Redact:     func(text string) string { return unnamed(text, run) },
		Run: func(ctx context.Context, t *build.Task) error {
			pickle, codes, err := s.fetch(ctx, *run)
			if err != nil {
				return err
			}
			return s.record(t, pickle, extract.RunOptions{CodesPath: codes, KeepRisks: keepRisks}, run)
		},
	}
}

func (s *study) paramsOf(run *extract.IndexedRun, keepRisks bool) map[string]any {
	return map[string]any{"run": run, "thresholds": s.settings.Thresholds, "keep risks": keepRisks}
}

func (s *study) pickleOf(run *extract.IndexedRun) build.Ref {
	return s.artifact(run, run.Artifact)
}

// codesOf is the file that names the subjects of a pickle, where it is: some pickles do
// not name them.
func (s *study) codesOf(run *extract.IndexedRun) build.Input {
	codes := s.artifact(run, extract.CodesArtifact(run.Artifact))
	return build.Glob(codes.Root, literally(codes.Path))
}

func recordOf(run *extract.IndexedRun) build.Ref {
	return build.Ref{Root: rootPrivate, Path: path.Join("runs", run.RunID+recordSuffix)}
}

// record reads a pickle and writes what it gave.
func (s *study) record(t *build.Task, pickle string, options extract.RunOptions, run *extract.IndexedRun) error {
	working()
	options.Thresholds = s.settings.Thresholds
	record, err := extract.ReadRun(pickle, *run, options)
	if err != nil {
		return err
	}
	return extract.Write(t.Out(recordOf(run)), record)
}

// literally is the pattern that matches one path, whatever characters it holds.
func literally(name string) string {
	if !strings.ContainsAny(name, `*?[]{}\\`) {
		return name
	}
	var b strings.Builder
	for _, r := range name {
		if strings.ContainsRune(`*?[]{}\\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// weightOf is the memory that reading a pickle may take. What is read is dropped
// but for the wanted parts, which are a fortieth of the study's 42 MB files;
// reading one takes 10 MB in all, most of it whatever the file's size.
func weightOf(size int64) int64 {
	const least, share = 8 << 20, 8
	return least + size/share
}

// ledgers are the files of the private directory that are memory, not results.
func (s *study) ledgers() []build.Ref {
	ledgers := []build.Ref{{Root: rootPrivate, Path: lookupFile}}
	if !s.example() {
		ledgers = append(ledgers, build.Ref{Root: rootPrivate, Path: keyFile})
	}
	return ledgers
}

// readsLedgers are the inputs of a step that looks codes up.
func (s *study) readsLedgers() []build.Input {
	var inputs []build.Input
	for _, ledger := range s.ledgers() {
		inputs = append(inputs, build.File(ledger.Root, ledger.Path))
	}
	return inputs
}

// subjects gives every subject its code. It has no output but the ledgers, which
// are appended to and never made anew.
func (s *study) subjects() build.Step {
	runs := build.OutputsOf("run:*")
	index := build.Ref{Root: rootPrivate, Path: indexFile}
	inputs := append(s.readsUpstream(), runs, build.File(index.Root, index.Path), build.File(rootWorkspace, registryFile))
	source, hasSource := s.source()
	if hasSource {
		inputs = append(inputs, withLog(source)...)
	}
	return build.Step{
		Name:    "subjects",
		Doc:     "give every subject its code in the lookup, and names that the registry lacks their numbers",
		Inputs:  inputs,
		Ledgers: s.ledgers(),
		Params:  map[string]any{"example": s.example()},
		Code:    []string{"internal/extract", "anonymize"},
		Run: func(ctx context.Context, t *build.Task) error {
			// A code is given for ever: not before every run has been judged.
			var list extract.Index
			if err := extract.Read(t.Path(index), &list); err != nil {
				return err
			}
			if err := list.Err(); err != nil {
				return err
			}
			var src *sourcedb.Contents
			if hasSource {
				var err error
				if src, err = sourcedb.Read(ctx, t.Path(source)); err != nil {
					return err
				}
			}
			census := extract.NewCensus(src)
			err := extract.Heads(recordFiles(t, runs), func(_ int, head *extract.Head) error { return census.Count(head) })
			if err != nil {
				return err
			}
			subjects, err := census.Subjects()
			if err != nil {
				named(t, err)
				return err
			}
			registry, err := readRegistry(t)
			if err != nil {
				return err
			}
			stages, err := s.readUpstream(t)
			if err != nil {
				return err
			}
			return s.assign(t, census, subjects, extract.UnregisteredNames(census.Configurations(), stages, registry))
		},
	}
}

// named writes into the private log whom an error about subjects counts.
func named(t *build.Task, err error) {
	var conflict *extract.LabelConflict
	if errors.As(err, &conflict) {
		t.Log.Error("labels contradict each other", "subjects", conflict.Originals)
	}
	var unknown *extract.UnknownSubjects
	if errors.As(err, &unknown) {
		t.Log.Error("not in the source database", "subjects", unknown.Originals)
	}
	var alike *extract.AlikeSubjects
	if errors.As(err, &alike) {
		t.Log.Error("codes that may be spellings of one", "subjects", alike.Originals)
	}
}

// assign adds new subjects and names to the lookup, which is made when there is
// none, unless a public database says that there has been one.
func (s *study) assign(t *build.Task, census *extract.Census, subjects []extract.Subject, names map[string][]string) error {
	lookupPath := t.Path(build.Ref{Root: rootPrivate, Path: lookupFile})
	keyPath, draft := s.ledgerFiles().Key, s.ledgerFiles().Draft()
	for _, file := range []string{lookupPath, anonymize.PreviousPath(lookupPath), keyPath, draft} {
		if err := anonymize.Protect(file); err != nil {
			return err
		}
	}
	lookup, err := anonymize.ReadLookup(lookupPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.refuseNewCodes(t, lookupPath); err != nil {
			return err
		}
		lookup = anonymize.NewLookup()
	case err != nil:
		return err
	}
	for _, warning := range lookup.Warnings() {
		t.Log.Warn(warning)
	}
	if err := census.AlikeTo(lookup.Originals()); err != nil {
		named(t, err)
		return err
	}
	key, err := s.key()
	first := errors.Is(err, fs.ErrNotExist)
	if first {
		key, err = anonymize.ReadKey(draft)
	}
	switch {
	case first && err == nil:
		// A build was killed while it gave the first codes.
		if lookup.Sealed() {
			err = lookup.Verify(key)
		}
	case first && errors.Is(err, fs.ErrNotExist):
		// A lookup of ours has always had one; one made elsewhere gets its own.
		if lookup.Sealed() {
			return fmt.Errorf("the key %s of the lookup is missing: without it new subjects get codes in another order, and nobody can tell whether the lookup was edited; "+
				"put it back from a backup; if it is lost for good and the lookup is known to be right, write \"seal: none\" in the place of the lookup's seal",
				keyPath)
		}
		key, err = anonymize.CreateKey(draft)
	}
	if err != nil {
		return err
	}
	people := make([]anonymize.Subject, len(subjects))
	for i, subject := range subjects {
		people[i] = anonymize.Subject(subject)
	}
	added, skipped, err := lookup.Assign(people, key)
	if err != nil {
		var contradiction *anonymize.ContradictionError
		if errors.As(err, &contradiction) {
			t.Log.Error("labels contradict the lookup", "subjects", contradiction.Originals())
		}
		return err
	}
	t.Log.Info("codes", "added", added, "without a label", skipped, "in all", lookup.Len())
	for _, factor := range config.Factors() {
		added, err := lookup.AssignNames(factor, names[factor], key)
		if err != nil {
			return err
		}
		t.Log.Info("names that the registry lacks", "factor", factor, "added", added, "in the runs", len(names[factor]))
	}
	if err := lookup.WriteFile(lookupPath); err != nil || !first {
		return err
	}
	return os.Rename(draft, keyPath)
}

// refuseNewCodes keeps a published database from being contradicted by codes
// drawn anew: that there was a lookup is known by the database, by its key, by
// its former version or by the record of this step. The example's codes come out
// the same again.
func (s *study) refuseNewCodes(t *build.Task, lookupPath string) error {
	if s.example() {
		return nil
	}
	witness := ""
	for _, file := range []string{s.settings.PublicDB, filepath.Join(s.settings.PrivateDir, keyFile), anonymize.PreviousPath(lookupPath)} {
		_, err := os.Lstat(file)
		if err == nil {
			witness = file + " exists"
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if witness == "" && t.RanBefore() {
		witness = "codes have been given before"
	}
	if witness == "" {
		return nil
	}
	return fmt.Errorf("the lookup %s is missing, but %s: new codes would contradict those that were published; "+
		"put the lookup and %s back from a backup, or begin a new study with another private directory (PLR_PRIVATE_DIR) and another public database",
		lookupPath, witness, keyFile)
}

// key is the secret that orders new subjects. The example's is published, so
// that everybody gets the same codes.
func (s *study) key() ([]byte, error) {
	if s.example() {
		return []byte(anonymize.ExampleKey), nil
	}
	return anonymize.ReadKey(filepath.Join(s.settings.PrivateDir, keyFile))
}

// verifiedLookup reads the lookup and sees that nobody has edited it.
func (s *study) verifiedLookup(path string) (codes *anonymize.Lookup, key []byte, err error) {
	if codes, err = anonymize.ReadLookup(path); err != nil {
		return nil, nil, err
	}
	if s.example() {
		key = []byte(anonymize.ExampleKey)
	} else if key, err = s.ledgerFiles().ReadKey(codes); err != nil {
		return nil, nil, err
	}
	return codes, key, codes.Verify(key)
}

// ledgerFiles are the lookup and its key.
func (s *study) ledgerFiles() anonymize.Files {
	return anonymize.Files{Lookup: filepath.Join(s.settings.PrivateDir, lookupFile), Key: filepath.Join(s.settings.PrivateDir, keyFile)}
}

// assembling is how the settings and the lookup want a database.
func (s *study) assembling(codes *anonymize.Lookup, key []byte) checkpoint.AssembleOptions {
	return checkpoint.AssembleOptions{
		Published:   codes.Name,
		KeyedDigest: func(digest string) (string, error) { return anonymize.KeyedDigest(key, digest) },
		Estimand:    s.settings.Estimand,
		Margin:      s.settings.MID,
		Unlabelled:  codes.Unlabelled(),
		Privacy: disclosure.Privacy{
			SubjectTables: s.settings.SubjectTables, RoundRisks: s.settings.RoundRisks, BootstrapRisks: s.settings.BootstrapRisks,
		},
	}
}

func (s *study) traces() build.Step {
	out := build.Ref{Root: rootPrivate, Path: tracesFile}
	lookup := build.Ref{Root: rootPrivate, Path: lookupFile}
	source, _ := s.source()
	return build.Step{
		Name:    "traces",
		Doc:     "write the demo traces (private)",
		Inputs:  append(withLog(source), build.File(lookup.Root, lookup.Path)),
		Outputs: []build.Output{build.Out(out.Root, out.Path)},
		Params:  map[string]any{"subjects": s.settings.DemoSubjects},
		Code:    []string{"internal/sourcedb", "anonymize"},
		Run: func(ctx context.Context, t *build.Task) error {
			codes, err := anonymize.ReadLookup(t.Path(lookup))
			if err != nil {
				return err
			}
			return sourcedb.WriteTraces(ctx, t.Path(source), codes.Code,
				sourcedb.TraceOptions{Subjects: s.settings.DemoSubjects}, t.Out(out))
		},
	}
}

// checkpoint is the one step that may make private things public.
func (s *study) checkpoint() build.Step {
	out := s.database()
	return build.Step{
		Name:         stepCheckpoint,
		Doc:          "write the public database",
		Inputs:       s.readsRecords(),
		Outputs:      []build.Output{build.Out(out.Root, out.Path).As(contentsOfDatabase)},
		Params:       s.assemblyParams(),
		Probed:       []string{s.place(out)},
		Code:         []string{"internal/checkpoint", "internal/writer", "anonymize"},
		Declassifies: true,
		Run: func(ctx context.Context, t *build.Task) error {
			var content *checkpoint.Content
			var both errgroup.Group // to open a database takes as long as to read what a study of some runs says
			both.Go(func() error { return writtenElsewhere(ctx, s.place(out)) })
			both.Go(func() error {
				a, err := s.readAssembly(t)
				if err != nil {
					return err
				}
				content, err = checkpoint.Assemble(a.records, a.index, a.codes.Code, a.registry, a.options)
				return err
			})
			if err := both.Wait(); err != nil {
				return err
			}
			written, err := writer.Write(ctx, t.Out(out), content.Rows)
			if err != nil {
				return err
			}
			t.ReadBack(out, func(ctx context.Context, path string) (string, error) {
				giveBack()
				return written.Digest(ctx, path)
			})
			return nil
		},
	}
}

// writtenElsewhere refuses to replace a database that another process has open for
// writing: the log that it leaves by name would lie beside the new file and be taken
// for that one's. Readers keep the old file.
func writtenElsewhere(ctx context.Context, name string) error {
	db, err := duckfile.Open(ctx, name)
	switch {
	case err == nil:
		return db.Close()
	case errors.Is(err, duckfile.ErrInUse):
		return err
	}
	return nil // whatever is there is replaced
}

// readsRecords are the inputs of a step that makes a database of the records.
func (s *study) readsRecords() []build.Input {
	return append(slices.Concat(s.readsLedgers(), s.readsUpstream()),
		build.OutputsOf(recordsOfRuns),
		build.File(rootPrivate, indexFile),
		build.File(rootWorkspace, registryFile),
	)
}

// recordsOfRuns are the steps that read the pickles.
const recordsOfRuns = "run:*"

// assemblyParams are the settings that contents of a database depend on.
func (s *study) assemblyParams() map[string]any {
	return map[string]any{
		"estimand": s.settings.Estimand, "subject tables": s.settings.SubjectTables,
		"mid": s.settings.MID, "round risks": s.settings.RoundRisks, "bootstrap risks": s.settings.BootstrapRisks,
	}
}

// assembly is what contents of a database are made of.
type assembly struct {
	records  extract.RecordFiles
	index    *extract.Index
	codes    *anonymize.Lookup
	registry *config.Registry
	options  checkpoint.AssembleOptions
}

// readAssembly reads what a step with readsRecords declares.
func (s *study) readAssembly(t *build.Task) (*assembly, error) {
	a := &assembly{records: recordFiles(t, build.OutputsOf(recordsOfRuns)), index: new(extract.Index)}
	if err := extract.Read(t.Path(build.Ref{Root: rootPrivate, Path: indexFile}), a.index); err != nil {
		return nil, err
	}
	var key []byte
	var err error
	if a.codes, key, err = s.verifiedLookup(t.Path(build.Ref{Root: rootPrivate, Path: lookupFile})); err != nil {
		return nil, err
	}
	if a.registry, err = readRegistry(t); err != nil {
		return nil, err
	}
	a.options = s.assembling(a.codes, key)
	a.options.Upstream, err = s.readUpstream(t)
	return a, err
}

// recordFiles are what the run steps wrote.
func recordFiles(t *build.Task, runs build.Input) extract.RecordFiles {
	var files extract.RecordFiles
	for _, file := range t.Files(runs) {
		files = append(files, t.Path(file))
	}
	return files
}
