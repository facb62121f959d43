package pipeline_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render"
)

// TestCanaries builds a study of one's own in which every free text that a store,
// a source database, a setting or a path can hold carries a word of its own and
// an original code. No such word may stand in anything public afterwards, and no
// original code may be public or be printed, whatever the codes look like.
//
// It searches by other means than the leak gate does.
func TestCanaries(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the program and builds whole studies")
	}
	repo, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	bin := compiled(t)
	unpacked, err := unpackOnce()
	if err != nil {
		t.Fatal(err)
	}
	// The name of a test is part of paths that are printed: it must look like no code.
	for name, test := range map[string]struct {
		prefix string
		keep   func(c *canaries)
	}{
		"file store":      {"sbj", (*canaries).keepFiles}, // codes that only the lookup tells from other words
		"SQLite":          {"PLR", (*canaries).keepDatabase},
		"tracking server": {"sbj", (*canaries).keepServer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCanaries(t, repo, bin, unpacked, test.prefix, test.keep)
			// Nothing is known of the codes yet, and nothing of the store can be read.
			// History keeps it all, so that two searches are enough.
			c.breakStore()
			c.run(1, "reproduce")
			c.run(3, "status")

			c.mendStore()
			c.run(0, "reproduce")
			builds := c.builds()
			c.runAll([][]string{
				{"status", "-json"}, {"graph", "-json"}, {"explain", "numbers.tex:PLRnRunsUsed"}, {"explain", "run:" + c.runs[0]}, {"explain", "run:" + c.runs[0], "-json"}, {"explain", "index"},
				{"runs:logs", builds[0]}, {"runs:diff", builds[0], builds[1]}, {"runs:trace", "last"}, {"cache:export", "export.tar.zst"}, {"verify"},
			})
			if name == "file store" { // the rest does not depend on what keeps it
				c.run(0, "explain", "run:"+c.runs[elsewhere[0]])
				if said := c.said[len(c.said)-1]; !strings.Contains(said, "  reads    artifacts:"+c.runs[elsewhere[0]]+"/") {
					t.Errorf("nothing was read elsewhere:\n%s", said)
				}
				c.runAll([][]string{
					{"status"}, {"graph"}, {"runs:ls"}, {"runs:ls", "-json"}, {"explain", "fig_forest_combined", "-json"}, {"explain", "checkpoint"},
					{"explain", "subjects"}, {"explain", "index", "-json"}, {"runs:inspect", "last"}, {"runs:inspect", "last", "-json"}, {"runs:logs", "last"},
					{"runs:diff", builds[0], builds[1], "-json"}, {"cache:stat"}, {"cache:verify"}, {"cache:gc", "-maxsize=1KB", "-dryrun"},
					{"cache:import", "export.tar.zst"}, {"validate"}, {"subjects:rekey"}, {"release"},
				})
			}
			// Errors of score quote columns and cells.
			predictions := c.predictions()
			c.run(0, "score", predictions, "-outcome=y", "-risk=p", "-bootstrap=0")
			for _, columns := range [][]string{{"-outcome=y", "-risk=none"}, {"-outcome=subject", "-risk=p"}, {"-outcome=y", "-risk=subject", "-json"}} {
				c.run(1, append([]string{"score", predictions}, columns...)...)
			}
			c.search()

			// The same troubles when codes have been given.
			c.breakStore()
			c.run(1, "reproduce")
			for _, args := range [][]string{{"runs:logs", "last"}, {"runs:inspect", "last"}, {"runs:diff", builds[1], "last"}, {"explain", "checkpoint"}, {"status", "-json"}} {
				c.run(-1, args...)
			}
			c.mendStore()
			c.conflict()
			c.run(1, "reproduce")
			c.run(0, "runs:logs", "last")
			c.refuse()
			c.run(-1, "reproduce")
			c.search()
		})
	}
}

func (c *canaries) runAll(targets [][]string) {
	c.t.Helper()
	for _, args := range targets {
		c.run(0, args...)
	}
}

// canaries is a study whose free texts are marked.
type canaries struct {
	t                  *testing.T
	bin, work          string
	store, source, dir string // dir is the private directory
	uri                string // of the store
	prefix             string
	mu                 sync.Mutex        // of words: a server answers several requests at once
	words              map[string]string // word → where it was put
	runs               []string
	kept               map[string][]byte // files as they were before breakStore
	said               []string          // what the program printed, from the first line on
	spoils, mends      func()            // what else is broken of the store
	refuse             func()            // what a server refuses
}

// word is the canary of a place: letters, so that no escape changes them.
func (c *canaries) word(where string) string {
	sum := sha256.Sum256([]byte(where))
	word := make([]byte, 12)
	for i := range word {
		word[i] = 'a' + sum[i]%26
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.words[string(word)] = where
	return string(word)
}

// text is a canary with an original code of a subject.
func (c *canaries) text(where string) string { return c.word(where) + "-" + c.prefix + "1002" }

func (c *canaries) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *canaries) write(name, text string) {
	c.t.Helper()
	c.must(os.MkdirAll(filepath.Dir(name), 0o755))
	c.must(os.WriteFile(name, []byte(text), 0o644))
}

// replace changes a file of which it must change something.
func (c *canaries) replace(name string, oldnew ...string) {
	c.t.Helper()
	before, err := os.ReadFile(name)
	c.must(err)
	after := strings.NewReplacer(oldnew...).Replace(string(before))
	if after == string(before) {
		c.t.Fatalf("nothing to replace in %s", name)
	}
	c.must(os.WriteFile(name, []byte(after), 0o644))
}

func newCanaries(t *testing.T, repo, bin, unpacked, prefix string, keep func(*canaries)) *canaries {
	c := &canaries{t: t, bin: bin, prefix: prefix, words: map[string]string{}, kept: map[string][]byte{}, mends: func() {}, refuse: func() {}}
	base := t.TempDir()
	c.work = filepath.Join(base, c.word("path of the workspace"), "work")
	c.store = filepath.Join(base, c.text("path of the store"), "mlruns")
	c.source = filepath.Join(base, c.text("path of the source database"), c.text("name of the source database")+".db")
	c.dir = filepath.Join(base, c.word("path of the private directory"), "private")
	c.must(os.CopyFS(filepath.Join(c.work, "configs"), os.DirFS(filepath.Join(repo, "configs"))))
	c.write(filepath.Join(c.work, "LICENSE"), "Whoever has a copy may do with it what they like.\n")
	c.must(writeStore(unpacked, c.store, nil))
	c.must(writeFlows(unpacked, c.store))
	c.must(copyTree(filepath.Join(unpacked, "SERI_PLR_GLAUCOMA.db"), c.source))

	pickles, err := filepath.Glob(filepath.Join(c.store, experiment, "*/artifacts/metrics/*.pickle"))
	c.must(err)
	for _, name := range pickles {
		c.runs = append(c.runs, filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(name)))))
		data, err := os.ReadFile(name)
		c.must(err)
		wide := func(s string) []byte {
			return []byte(string(s[0]) + "\x00\x00\x00" + string(s[1]) + "\x00\x00\x00" + string(s[2]) + "\x00\x00\x00")
		}
		data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("PLR"), []byte(prefix)), wide("PLR"), wide(prefix))
		c.must(os.WriteFile(name, data, 0o644))
	}
	if len(c.runs) < 8 {
		t.Fatalf("only %d runs", len(c.runs))
	}
	c.markStore(pickles)
	c.markUpstream()
	c.markSource()
	// Two runs are left out: one by its id, and a directory that is no run at all.
	stray := c.text("name of a directory that is excluded")
	c.write(filepath.Join(c.store, experiment, stray, "meta.yaml"), "run_id: ["+c.text("meta.yaml that is excluded"))
	c.replace(filepath.Join(c.work, "configs/defaults.yaml"), "exclude_runs: []", fmt.Sprintf(
		"exclude_runs: [{run: %s, reason: %q}, {run: %s, reason: %q}]", c.runs[7], c.text("reason of an exclusion"), stray, c.text("another reason")))
	keep(c)
	return c
}

// markStore puts a canary into everything that a store of MLflow keeps as text.
func (c *canaries) markStore(pickles []string) {
	dir := filepath.Join(c.store, experiment)
	c.replace(filepath.Join(dir, "meta.yaml"), "name: PLR_Classification", "name: PLR_Classification "+c.text("name of the experiment"),
		"file:///home/researcher", "file:///home/"+c.text("artifact_location"))
	c.write(filepath.Join(dir, "tags", c.text("key of an experiment's tag")), c.text("value of an experiment's tag"))
	for i, run := range c.runs {
		at := func(what string) string { return fmt.Sprintf("%s of run %d", what, i) }
		here := filepath.Join(dir, run)
		meta := filepath.Join(here, "meta.yaml")
		c.replace(meta, "user_id: root", "user_id: "+c.text(at("user_id")), "entry_point_name: ''", "entry_point_name: "+c.text(at("entry_point_name")),
			"source_name: ''", "source_name: "+c.text(at("source_name")), "source_version: ''", "source_version: "+c.text(at("source_version")),
			"file:///home/researcher", "file:///home/"+c.text(at("artifact_uri")))
		c.write(filepath.Join(here, "tags/mlflow.user"), c.text(at("tag mlflow.user")))
		c.write(filepath.Join(here, "tags/mlflow.note.content"), "seen by "+c.text(at("note"))+"\n")
		c.write(filepath.Join(here, "tags", c.text(at("key of a tag"))), c.text(at("value of a tag")))
		c.write(filepath.Join(here, "params", c.text(at("key of a param"))), c.text(at("value of a param")))
		c.write(filepath.Join(here, "params/comment"), c.text(at("param comment")))
		c.write(filepath.Join(here, "metrics", c.text(at("key of a metric"))), "1700000000000 0.5 0\n")
		c.write(filepath.Join(here, "artifacts", c.text(at("name of an artifact"))), c.text(at("an artifact")))
		c.write(filepath.Join(here, "artifacts/metrics", c.text(at("name of another file"))+".txt"), c.text(at("another file")))
	}
	c.write(filepath.Join(dir, c.runs[3], "artifacts/metrics", c.text("name of a second pickle")+".pickle"), "not read")
	c.write(filepath.Join(c.store, c.text("name of a stray directory"), "meta.yaml"), "name: "+c.text("name in a stray directory"))

	// Methods that no registry lists, each in name, param and file name.
	for i, param := range []string{"anomaly_source", "imputation_source", "feature_param", "model_name"} {
		here := filepath.Join(dir, c.runs[i])
		name, err := os.ReadFile(filepath.Join(here, "tags/mlflow.runName"))
		c.must(err)
		method := c.text(param + " that is not registered")
		c.write(filepath.Join(here, "params", param), method)
		parts := strings.Split(string(name), "__")
		switch param {
		case "anomaly_source":
			parts[3] = method
		case "imputation_source":
			parts[2] = method
		case "feature_param":
			parts[1] = method
		case "model_name":
			parts[0] = method + "_eval-auc"
		}
		c.rename(pickles[i], here, strings.TrimSpace(string(name)), strings.Join(parts, "__"))
	}
	// A name that is no configuration; the params say it.
	here := filepath.Join(dir, c.runs[4])
	name, err := os.ReadFile(filepath.Join(here, "tags/mlflow.runName"))
	c.must(err)
	c.rename(pickles[4], here, strings.TrimSpace(string(name)), c.text("name of a run"))
	// A comment within the name of the metric.
	here = filepath.Join(dir, c.runs[5])
	name, err = os.ReadFile(filepath.Join(here, "tags/mlflow.runName"))
	c.must(err)
	c.rename(pickles[5], here, strings.TrimSpace(string(name)), strings.Replace(string(name), "eval-auc", "eval-"+c.text("eval metric"), 1))
}

// markUpstream does the same to the experiments of the stages before classification.
// Runs that classification names stay found, and their methods are free text.
func (c *canaries) markUpstream() {
	for _, id := range upstreamExperiments {
		dir := filepath.Join(c.store, id)
		c.replace(filepath.Join(dir, "meta.yaml"), "file:///home/researcher", "file:///home/"+c.text("artifact_location of "+id))
		c.write(filepath.Join(dir, "tags", c.text("key of a tag of "+id)), c.text("value of a tag of "+id))
		runs, err := filepath.Glob(filepath.Join(dir, "*/meta.yaml"))
		c.must(err)
		for i, meta := range runs[:6] { // each word more is looked for in every file
			at := func(what string) string { return fmt.Sprintf("%s of run %d of %s", what, i, id) }
			here := filepath.Dir(meta)
			name, err := os.ReadFile(filepath.Join(here, "tags/mlflow.runName"))
			c.must(err)
			c.replace(meta, "user_id: unknown", "user_id: "+c.text(at("user_id")), "source_name: ''", "source_name: "+c.text(at("source_name")),
				"file:///home/researcher", "file:///home/"+c.text(at("artifact_uri")), "run_name: "+string(name), "run_name: "+c.text(at("name")))
			c.write(filepath.Join(here, "tags/mlflow.runName"), c.text(at("name")))
			c.write(filepath.Join(here, "tags", c.text(at("key of a tag"))), c.text(at("value of a tag")))
			c.write(filepath.Join(here, "params/model"), c.text(at("param model")))
			c.write(filepath.Join(here, "params/codes_train"), c.text(at("param codes_train")))
			c.write(filepath.Join(here, "params", c.text(at("key of a param"))), c.text(at("value of a param")))
			c.write(filepath.Join(here, "metrics", c.text(at("key of a metric"))), "1700000000000 0.5 0\n")
			c.write(filepath.Join(here, "metrics/test", c.text(at("key of a metric of a split"))), "1700000000000 0.5 0\n")
			c.write(filepath.Join(here, "artifacts", c.text(at("name of an artifact"))), c.text(at("an artifact")))
			switch i {
			case 0:
				for _, param := range []string{"anomaly_source", "imputation_source", "featurization_method"} {
					if _, err := os.Stat(filepath.Join(here, "params", param)); err == nil {
						c.write(filepath.Join(here, "params", param), c.text(at(param+" that is not registered")))
					}
				}
			case 1:
				c.write(filepath.Join(here, "params/Outlier_run_id"), c.text(at("run before it")))
				c.write(filepath.Join(here, "params/Imputation_run_id"), c.text(at("another run before it")))
			case 2:
				c.write(filepath.Join(here, "params/anomaly_source"), c.text(at("two"))+"\n"+c.text(at("lines")))
			}
		}
		c.write(filepath.Join(dir, c.text("name of a directory of "+id), "meta.yaml"), "run_name: "+c.text("name in a directory of "+id))
	}
	// A reference that is no id.
	c.write(filepath.Join(c.store, experiment, c.runs[6], "params/mlflow_run_imputation"), c.text("reference of a run"))
}

// damageUpstream does what only files can hold.
func (c *canaries) damageUpstream() {
	for _, id := range upstreamExperiments {
		runs, err := filepath.Glob(filepath.Join(c.store, id, "*/meta.yaml"))
		c.must(err)
		c.write(filepath.Join(filepath.Dir(runs[3]), "metrics/Outlier_f1"), c.text("damaged metric of "+id))
		c.write(runs[4], "run_id: ["+c.text("damaged meta.yaml of "+id))
	}
}

// rename gives a run and its pickle another name.
func (c *canaries) rename(pickle, run, from, to string) {
	c.t.Helper()
	c.replace(filepath.Join(run, "meta.yaml"), "run_name: "+from, "run_name: "+to)
	c.write(filepath.Join(run, "tags/mlflow.runName"), to)
	c.must(os.Rename(pickle, filepath.Join(filepath.Dir(pickle), "metrics_"+to+".pickle")))
}

// markSource puts canaries beside what is read of the source database.
func (c *canaries) markSource() {
	var statements []string
	for _, table := range []string{"train", "test"} {
		statements = append(statements,
			fmt.Sprintf("UPDATE %s SET subject_code = replace(subject_code, 'PLR', '%s')", table, c.prefix),
			fmt.Sprintf(`ALTER TABLE %s ADD COLUMN "%s" VARCHAR DEFAULT '%s'`, table, c.text("column of "+table), c.text("cell of "+table)),
			fmt.Sprintf("COMMENT ON TABLE %s IS '%s'", table, c.text("comment on "+table)))
	}
	statements = append(statements, fmt.Sprintf(`CREATE TABLE "%s" AS SELECT '%s' AS note`, c.text("table of the source"), c.text("cell of another table")))
	c.sql(statements...)
}

func (c *canaries) sql(statements ...string) {
	c.t.Helper()
	db, err := sql.Open("duckdb", c.source)
	c.must(err)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			c.t.Fatal(err, s)
		}
	}
	c.must(db.Close())
}

// breakStore makes files unreadable in ways whose messages could quote them.
func (c *canaries) breakStore() {
	for i, text := range map[int]string{
		// What these would call or load is named in the error.
		0: "c" + c.text("module in a pickle") + "\n" + c.text("function in a pickle") + "\n)R.",
		4: "\x80\x04\x8c\x02os\x8c\x06system\x93\x8c" + string(rune(len(c.text("command in a pickle")))) + c.text("command in a pickle") + "\x85R.",
		6: "\x80\x04}\x8c" + string(rune(len(c.text("key in a pickle")))) + c.text("key in a pickle") + "Ks.",
	} {
		found, err := filepath.Glob(filepath.Join(c.store, experiment, c.runs[i], "artifacts/metrics/metrics_*.pickle"))
		c.must(err)
		if len(found) != 1 {
			c.t.Fatalf("run %d has %d pickles", i, len(found))
		}
		c.spoil(found[0], text)
	}
	c.spoils()
}

// spoil writes another text into a file until the store is mended.
func (c *canaries) spoil(name, text string) {
	c.t.Helper()
	c.keepAside(name)
	c.must(os.WriteFile(name, []byte(text), 0o644))
}

func (c *canaries) keepAside(name string) {
	c.t.Helper()
	whole, err := os.ReadFile(name)
	c.must(err)
	c.kept[name] = whole
}

func (c *canaries) mendStore() {
	for name, whole := range c.kept {
		c.must(os.WriteFile(name, whole, 0o644))
	}
	clear(c.kept)
	c.mends()
}

// conflict gives a subject of the source another class than it has.
func (c *canaries) conflict() {
	c.sql(fmt.Sprintf("UPDATE train SET class_label = '%s' WHERE subject_code = (SELECT min(subject_code) FROM train WHERE class_label IS NOT NULL)", c.text("class_label")))
}

// run runs a target, which must end with a code; -1 is any.
func (c *canaries) run(want int, args ...string) {
	c.t.Helper()
	cmd := exec.Command(c.bin, args...)
	cmd.Dir = c.work
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PLR_") && !strings.HasPrefix(v, "MLFLOW_") && !strings.HasPrefix(v, "STUDY=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, "NO_COLOR=1", "MLFLOW_TRACKING_URI="+c.uri, "PLR_SOURCE_DB="+c.source, "PLR_PRIVATE_DIR="+c.dir)
	out, err := cmd.CombinedOutput()
	c.said = append(c.said, fmt.Sprintf("%v: %s", args, out))
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		c.must(err)
	}
	if want >= 0 && code != want {
		c.t.Fatalf("%v ended with %d, want %d:\n%s", args, code, want, out)
	}
}

// originals are the codes of the source database.
func (c *canaries) originals() []string {
	db, err := sql.Open("duckdb", c.source+"?access_mode=read_only")
	c.must(err)
	defer func() { c.must(db.Close()) }()
	rows, err := db.Query("SELECT DISTINCT subject_code FROM (SELECT subject_code FROM train UNION SELECT subject_code FROM test)")
	c.must(err)
	var all []string
	for rows.Next() {
		var code string
		c.must(rows.Scan(&code))
		all = append(all, code)
	}
	c.must(rows.Err())
	if len(all) < 100 || !slices.Contains(all, c.prefix+"1002") {
		c.t.Fatalf("%d codes, or not the one that texts carry", len(all))
	}
	return all
}

// search looks for canaries and codes in all that is public, and for codes in
// what was printed.
func (c *canaries) search() {
	c.t.Helper()
	codes := c.originals()
	forbidden := map[string]string{}
	c.mu.Lock()
	maps.Copy(forbidden, c.words)
	c.mu.Unlock()
	for _, code := range codes {
		forbidden[strings.ToLower(code)] = "an original code"
	}
	needles := slices.Sorted(maps.Keys(forbidden))
	files := 0
	// Thousands of texts in megabytes: by their first three bytes.
	type sought struct {
		needle, encoding string
		text             []byte
	}
	const first = 3
	begins := map[uint32][]sought{}
	known := make([]bool, 1<<(8*first))
	number := func(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }
	for _, needle := range needles {
		for encoding, text := range encoded(needle) {
			if len(text) < first {
				c.t.Fatalf("%q is too short to be looked for", needle)
			}
			n := number(text)
			begins[n], known[n] = append(begins[n], sought{needle, encoding, text}), true
		}
	}
	look := func(name string, data []byte) {
		lower := lowerASCII(data)
		said := map[string]bool{}
		for at := 0; at+first <= len(lower); at++ {
			n := number(lower[at:])
			if !known[n] {
				continue
			}
			for _, s := range begins[n] {
				if bytes.HasPrefix(lower[at:], s.text) && !said[s.needle+s.encoding] {
					said[s.needle+s.encoding] = true
					c.t.Errorf("%s holds %s (%s), in %s: …%q…", name, s.needle, forbidden[s.needle], s.encoding, data[max(0, at-80):min(len(data), at+80)])
				}
			}
		}
	}
	c.must(filepath.WalkDir(c.work, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.work, name)
		if err != nil {
			return err
		}
		if d.IsDir() && rel == "configs" { // a human wrote the reasons there
			return fs.SkipDir
		}
		look("the name "+rel, []byte(rel))
		if !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		files++
		look(rel, data)
		switch {
		case strings.HasSuffix(name, ".zst"):
			z, err := zstd.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			defer z.Close()
			unpacked, err := io.ReadAll(z)
			if err != nil {
				return err
			}
			if len(unpacked) < 10_000 {
				c.t.Errorf("%s holds %d bytes only", rel, len(unpacked))
			}
			look(rel+", unpacked", unpacked)
		case strings.HasSuffix(name, ".zip"):
			return c.members(name, func(member string, data []byte) { look(rel+", "+member, data) })
		case strings.HasSuffix(name, ".db"):
			look(rel+", cells", c.cells(name))
		case strings.HasPrefix(rel, "figures/generated/data/"):
			doc, err := sidecar.Decode(data)
			if err != nil {
				return err
			}
			_, texts, err := render.PNG(doc)
			if err != nil {
				return err
			}
			look(rel+", drawn", []byte(strings.Join(texts, "\n")))
		}
		return nil
	}))
	if _, err := os.Stat(filepath.Join(c.work, "pipeline.lock")); err == nil && files < 30 {
		c.t.Errorf("only %d public files", files)
	}
	for _, said := range c.said {
		lower := string(lowerASCII([]byte(said)))
		for _, code := range codes {
			if at := strings.Index(lower, strings.ToLower(code)); at >= 0 {
				c.t.Errorf("printed an original code: …%q…", said[max(0, at-200):min(len(said), at+100)])
				break
			}
		}
	}
	// Canaries were read: the private files have them.
	for name, least := range map[string]int{"index.cbor": 5, "upstream.cbor": 10} {
		data, err := os.ReadFile(filepath.Join(c.dir, name))
		c.must(err)
		read := 0
		c.mu.Lock()
		for word := range c.words {
			if bytes.Contains(data, []byte(word)) {
				read++
			}
		}
		c.mu.Unlock()
		if read < least {
			c.t.Errorf("the private %s holds %d canaries only: the test shows nothing", name, read)
		}
	}
	// So were codes, and all that a lookup knows are looked for.
	if lookup, err := anonymize.ReadLookup(filepath.Join(c.dir, "subject_lookup.yaml")); err == nil {
		for _, original := range lookup.Originals() {
			if forbidden[strings.ToLower(original)] == "" {
				c.t.Fatal("the lookup has a code that is not looked for")
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		c.t.Fatal(err)
	}
}

// members are the files of an archive, and the cells of a database in it.
func (c *canaries) members(name string, look func(string, []byte)) error {
	packed, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer packed.Close()
	if len(packed.File) < 20 {
		c.t.Errorf("%s holds %d files only", name, len(packed.File))
	}
	for _, f := range packed.File {
		in, err := f.Open()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close()); err != nil {
			return err
		}
		look("the name "+f.Name, []byte(f.Name))
		look(f.Name, data)
		if strings.HasSuffix(f.Name, ".db") {
			copied := filepath.Join(c.t.TempDir(), "packed.db")
			if err := os.WriteFile(copied, data, 0o600); err != nil {
				return err
			}
			look(f.Name+", cells", c.cells(copied))
		}
	}
	return nil
}

// cells is every cell of the public database, and its catalogue.
func (c *canaries) cells(name string) []byte {
	db, err := sql.Open("duckdb", name+"?access_mode=read_only")
	c.must(err)
	defer func() { c.must(db.Close()) }()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	c.must(err)
	defer func() { c.must(conn.Close()) }()
	var all bytes.Buffer
	column := func(query string) (texts []string) {
		rows, err := conn.QueryContext(ctx, query)
		c.must(err)
		for rows.Next() {
			var text sql.NullString
			c.must(rows.Scan(&text))
			texts = append(texts, text.String)
		}
		c.must(rows.Err())
		return texts
	}
	tables := column("SELECT table_name FROM information_schema.tables")
	if len(tables) < 10 {
		c.t.Fatalf("only %d tables", len(tables))
	}
	for _, table := range tables {
		for _, text := range column(fmt.Sprintf(`SELECT CAST(t AS VARCHAR) FROM "%s" t`, table)) {
			all.WriteString(text + "\n")
		}
	}
	for _, query := range []string{
		"SELECT concat_ws(' ', table_name, comment, sql) FROM duckdb_tables()", "SELECT concat_ws(' ', view_name, comment, sql) FROM duckdb_views()",
		"SELECT concat_ws(' ', column_name, comment, column_default) FROM duckdb_columns()",
	} {
		for _, text := range column(query) {
			all.WriteString(text + "\n")
		}
	}
	return all.Bytes()
}

func lowerASCII(data []byte) []byte {
	lower := bytes.Clone(data)
	for i, b := range lower {
		if b >= 'A' && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	return lower
}

// encoded are the bytes of a text as files may hold it.
func encoded(text string) map[string][]byte {
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		little = append(little, byte(unit), byte(unit>>8))
		big = append(big, byte(unit>>8), byte(unit))
	}
	return map[string][]byte{"UTF-8": []byte(text), "UTF-16 LE": little, "UTF-16 BE": big}
}
