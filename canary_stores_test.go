package pipeline_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// keepFiles leaves the marked store as it is: a file store. The artifacts of two runs lie
// in an artifact location of their experiment.
func (c *canaries) keepFiles() {
	c.uri = c.store
	c.damageUpstream()
	dir := filepath.Join(c.store, experiment)
	place := filepath.Join(filepath.Dir(filepath.Dir(c.store)), c.text("artifact location of its own"), "kept")
	for _, i := range elsewhere {
		c.must(os.MkdirAll(filepath.Join(place, c.runs[i]), 0o755))
		c.must(os.Rename(filepath.Join(dir, c.runs[i], "artifacts"), filepath.Join(place, c.runs[i], "artifacts")))
		c.must(relocate(filepath.Join(dir, c.runs[i], "meta.yaml"), place))
	}
	c.must(relocate(filepath.Join(dir, "meta.yaml"), place))
	there, err := filepath.Glob(filepath.Join(place, c.runs[elsewhere[0]], "artifacts/metrics/metrics_*.pickle"))
	c.must(err)
	if len(there) != 1 {
		c.t.Fatalf("%d pickles elsewhere", len(there))
	}
	meta := func(i int) string { return filepath.Join(dir, c.runs[i], "meta.yaml") }
	c.spoils = func() {
		c.spoil(there[0], "c"+c.text("module in a pickle elsewhere")+"\n"+c.text("function in it")+"\n)R.")
		c.spoil(meta(8), "run_id: ["+c.text("broken meta.yaml")+"\n\t"+c.text("second line of it")+": {")
		whole, err := os.ReadFile(meta(9))
		c.must(err)
		c.spoil(meta(9), strings.Replace(string(whole), "status: 3", "status: "+c.text("status"), 1))
		whole, err = os.ReadFile(meta(10))
		c.must(err)
		c.spoil(meta(10), strings.Replace(string(whole), "lifecycle_stage: active", "lifecycle_stage: "+c.text("lifecycle_stage"), 1))
		// Contradictions between name and params are said with both.
		c.spoil(filepath.Join(dir, c.runs[11], "params/anomaly_source"), c.text("another method than the name says"))
	}
}

// elsewhere are runs of the file store whose artifacts lie outside it. The name of the
// first is of no registry.
var elsewhere = []int{2, 5}

// keepDatabase makes a SQLite store of the marked store, with a canary in each
// column and table that MLflow keeps text in.
func (c *canaries) keepDatabase() {
	file := filepath.Join(c.t.TempDir(), c.text("name of the database")+".db")
	c.must(writeDatabase(c.store, file))
	c.uri = "sqlite:///" + file
	do := func(statement string, values ...any) {
		c.t.Helper()
		db, err := sql.Open("sqlite", file)
		c.must(err)
		_, err = db.Exec(statement, values...)
		c.must(err)
		c.must(db.Close())
	}
	for _, column := range []string{"user_id", "source_type", "source_name", "entry_point_name", "source_version"} {
		do(fmt.Sprintf("ALTER TABLE runs ADD COLUMN %s TEXT DEFAULT '%s'", column, c.text("column "+column)))
	}
	do("ALTER TABLE experiments ADD COLUMN artifact_location TEXT DEFAULT '" + c.text("column artifact_location") + "'")
	do("INSERT INTO experiment_tags SELECT ?, ?, experiment_id FROM experiments", c.text("key of an experiment's tag"), c.text("value of an experiment's tag"))
	do("CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT)")
	do("INSERT INTO tags SELECT ?, ?, run_uuid FROM runs", c.text("key of a tag"), c.text("value of a tag"))
	do("INSERT INTO tags SELECT 'mlflow.note.content', ?, run_uuid FROM runs", c.text("note"))
	do("INSERT INTO latest_metrics SELECT ?, 0.5, 0, 0, 0, run_uuid FROM runs", c.text("key of a metric"))
	do("CREATE TABLE registered_models (name TEXT, description TEXT)")
	do("INSERT INTO registered_models VALUES (?, ?)", c.text("name of a model"), c.text("description of a model"))
	c.spoils = func() {
		c.keepAside(file)
		do("UPDATE runs SET status = ? WHERE run_uuid = ?", c.text("status"), c.runs[9])
		do("UPDATE runs SET lifecycle_stage = ? WHERE run_uuid = ?", c.text("lifecycle_stage"), c.runs[10])
		do("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", "file:///nowhere/"+c.text("artifact_uri that leads nowhere"), c.runs[8])
		do("UPDATE params SET value = ? WHERE key = 'anomaly_source' AND run_uuid = ?", c.text("another method than the name says"), c.runs[11])
	}
}

// keepServer puts a tracking server before the marked store that adds canaries to
// its answers and, once it is to refuse, to its refusals.
func (c *canaries) keepServer() {
	store, err := mlflow.OpenFiles(c.store)
	c.must(err)
	s := &canaryServer{c: c, from: &trackingServer{store: store}}
	web := httptest.NewServer(s)
	c.t.Cleanup(func() {
		web.Close()
		if err := store.Close(); err != nil {
			c.t.Error(err)
		}
	})
	c.uri = strings.Replace(web.URL, "//", "//"+c.word("user of the server")+":lovelace@", 1)
	c.spoils = func() {
		c.spoil(filepath.Join(c.store, experiment, c.runs[11], "params/anomaly_source"), c.text("another method than the name says"))
		s.broken.Store(true)
	}
	c.mends = func() { s.broken.Store(false) }
	// A pickle that has to be fetched anew cannot be.
	c.refuse = func() {
		c.must(os.RemoveAll(filepath.Join(c.dir, "downloads")))
		c.must(os.RemoveAll(filepath.Join(c.dir, "cache")))
		s.refuses.Store(true)
	}
}

type canaryServer struct {
	c               *canaries
	from            http.Handler
	broken, refuses atomic.Bool
}

func (s *canaryServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	artifact := r.URL.Path == "/get-artifact"
	if artifact && s.refuses.Load() {
		w.Header().Set("X-Note", s.c.text("header of a refusal"))
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"error_code": %q, "message": %q}`, s.c.text("error_code of a refusal"), s.c.text("message of a refusal"))
		return
	}
	if artifact {
		w.Header().Set("Content-Disposition", "attachment; filename="+s.c.text("header of an artifact"))
		s.from.ServeHTTP(w, r)
		return
	}
	recorded := httptest.NewRecorder()
	s.from.ServeHTTP(recorded, r)
	body := recorded.Body.Bytes()
	var answer map[string]any
	if recorded.Code == http.StatusOK && json.Unmarshal(body, &answer) == nil {
		if experiments, ok := answer["experiments"].([]any); ok {
			for _, e := range experiments {
				e.(map[string]any)["artifact_location"] = s.c.text("artifact_location")
			}
		}
		if runs, ok := answer["runs"].([]any); ok {
			for _, run := range runs {
				s.mark(run.(map[string]any))
			}
		}
		body, _ = json.Marshal(answer) // it was JSON before
	}
	w.WriteHeader(recorded.Code)
	_, _ = bytes.NewReader(body).WriteTo(w) // the client says what it lacks
}

func (s *canaryServer) mark(run map[string]any) {
	info, data := run["info"].(map[string]any), run["data"].(map[string]any)
	info["user_id"], info["source_name"] = s.c.text("user_id"), s.c.text("source_name")
	data["tags"] = []map[string]string{{"key": s.c.text("key of a tag"), "value": s.c.text("value of a tag")}, {"key": "mlflow.note.content", "value": s.c.text("note")}}
	data["metrics"] = []map[string]any{{"key": s.c.text("key of a metric"), "value": 0.5}}
	if s.broken.Load() {
		switch info["run_id"] {
		case s.c.runs[9]:
			info["status"] = s.c.text("status")
		case s.c.runs[10]:
			info["lifecycle_stage"] = s.c.text("lifecycle_stage")
		}
	}
}

// builds are the ids of the builds so far.
func (c *canaries) builds() []string {
	entries, err := os.ReadDir(filepath.Join(c.work, ".cache/runs"))
	c.must(err)
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	if len(ids) < 2 {
		c.t.Fatalf("%d builds", len(ids))
	}
	return ids
}

// predictions is a file for score whose columns and cells hold codes. Nobody
// publishes it.
func (c *canaries) predictions() string {
	name := filepath.Join(c.t.TempDir(), "predictions.csv")
	var b strings.Builder
	fmt.Fprintf(&b, "subject,y,p,%s\n", c.text("column of predictions"))
	for i := range 40 {
		fmt.Fprintf(&b, "%s,%d,0.%d,%s\n", c.text("cell of predictions"), i%2, i+10, c.text("another cell"))
	}
	c.must(os.WriteFile(name, []byte(b.String()), 0o644))
	return name
}
