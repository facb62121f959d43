package pipeline_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite" // the driver of sql

	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// syntheticTag marks the bundled example, and with it what scripts take from it.
const syntheticTag = "plr.synthetic"

// makeDatabase is the command
//
//	database STORE FILE    write the SQLite store that MLflow would make of a file
//	                       store; the artifacts stay where they are
func makeDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: database STORE FILE")
	}
	ts.Check(writeDatabase(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

// writeDatabase writes the SQLite store of a file store.
func writeDatabase(dir, file string) (err error) {
	ctx := context.Background()
	store, err := mlflow.OpenFiles(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	do := func(statement string, values ...any) {
		if err == nil {
			_, err = db.Exec(statement, values...)
		}
	}
	do("BEGIN")
	do("CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, lifecycle_stage TEXT, workspace TEXT)")
	do("CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, status TEXT, start_time BIGINT, end_time BIGINT, lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER)")
	do("CREATE TABLE experiment_tags (key TEXT, value TEXT, experiment_id INTEGER)")
	do("CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT)")
	do("CREATE TABLE latest_metrics (key TEXT, value DOUBLE, timestamp BIGINT, step BIGINT, is_nan BOOLEAN, run_uuid TEXT)")
	if err != nil {
		return err
	}
	experiments, err := store.Experiments(ctx)
	if err != nil {
		return err
	}
	for _, e := range experiments {
		do("INSERT INTO experiments VALUES (?, ?, ?, 'default')", e.ID, e.Name, string(e.Lifecycle))
		mark, ok, terr := store.ExperimentTag(ctx, e, syntheticTag)
		if ok {
			do("INSERT INTO experiment_tags VALUES (?, ?, ?)", syntheticTag, mark, e.ID)
		}
		runs, rerr := store.Runs(ctx, e)
		if err := errors.Join(err, terr, rerr); err != nil {
			return err
		}
		for _, r := range runs {
			place := filepath.Join(store.String(), filepath.FromSlash(r.Dir), "artifacts")
			do("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", r.ID, r.Name, r.Status.String(), r.Start, r.End, string(r.Lifecycle), place, e.ID)
			params, perr := store.Params(ctx, r)
			metrics, merr := store.Metrics(ctx, r)
			if err := errors.Join(err, perr, merr); err != nil {
				return err
			}
			for key, value := range params {
				do("INSERT INTO params VALUES (?, ?, ?)", key, value, r.ID)
			}
			for key, m := range metrics {
				nan := math.IsNaN(m.Value)
				if nan {
					m.Value = 0
				}
				do("INSERT INTO latest_metrics VALUES (?, ?, ?, ?, ?, ?)", key, m.Value, m.Time, m.Step, nan, r.ID)
			}
		}
	}
	do("COMMIT")
	return err
}

// moveArtifacts is the command
//
//	elsewhere STORE DIR    move the artifacts of all runs of classification to DIR, which
//	                       is the artifact_location of their experiment then
func moveArtifacts(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: elsewhere STORE DIR")
	}
	ts.Check(writeElsewhere(ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

// writeElsewhere moves artifacts out of a store, as one that was made with an artifact
// location of its own has them.
func writeElsewhere(store, dir string) error {
	here := filepath.Join(store, experiment)
	metas, err := filepath.Glob(filepath.Join(here, "*/meta.yaml"))
	if err != nil {
		return err
	}
	if len(metas) == 0 {
		return fmt.Errorf("%s has no runs", here)
	}
	for _, meta := range append(metas, filepath.Join(here, "meta.yaml")) {
		if err := relocate(meta, dir); err != nil {
			return err
		}
		from := filepath.Join(filepath.Dir(meta), "artifacts")
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		to := filepath.Join(dir, filepath.Base(filepath.Dir(meta)), "artifacts")
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(from, to)); err != nil {
			return err
		}
	}
	return nil
}

// relocate names a directory as the place of artifacts in a meta.yaml.
func relocate(meta, dir string) error {
	text, err := os.ReadFile(meta)
	if err != nil {
		return err
	}
	changed := artifactPlace.ReplaceAll(text, []byte("${1}file://"+dir))
	if bytes.Equal(changed, text) {
		return fmt.Errorf("%s names no place of artifacts", meta)
	}
	return os.WriteFile(meta, changed, 0o644)
}

// artifactPlace is an experiment's artifact_location, or the beginning of a run's
// artifact_uri.
var artifactPlace = regexp.MustCompile(`(?m)^(artifact_(?:location|uri): ).*/` + experiment)

// serveStore is the command
//
//	server STORE            answer as a tracking server would that keeps the file
//	                        store, and point MLFLOW_TRACKING_URI to it; an earlier
//	                        one ends
//	server STORE elsewhere  the same, but the artifacts are elsewhere: the server
//	                        sends a copy that it fetches for each answer
//	server -stop
func serveStore() func(ts *testscript.TestScript, neg bool, args []string) {
	stop := map[*testscript.TestScript]func(){}
	return func(ts *testscript.TestScript, neg bool, args []string) {
		elsewhere := len(args) == 2 && args[1] == "elsewhere"
		if neg || len(args) != 1 && !elsewhere {
			ts.Fatalf("usage: server STORE [elsewhere], or server -stop")
		}
		if end := stop[ts]; end != nil {
			end()
			delete(stop, ts)
		}
		if args[0] == "-stop" {
			return
		}
		store, err := mlflow.OpenFiles(ts.MkAbs(args[0]))
		ts.Check(err)
		web := httptest.NewServer(&trackingServer{store: store, elsewhere: elsewhere})
		stop[ts] = web.Close
		ts.Defer(web.Close)
		// The user's name and password are in no output: the script looks.
		ts.Setenv("MLFLOW_TRACKING_URI", strings.Replace(web.URL, "//", "//ada:lovelace@", 1))
	}
}

// trackingServer answers what the pipeline asks of MLflow's server.
type trackingServer struct {
	store     *mlflow.Files
	elsewhere bool
	answers   atomic.Int64
}

func (s *trackingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, password, _ := r.BasicAuth(); password != "lovelace" {
		http.Error(w, "You are not authenticated.", http.StatusUnauthorized)
		return
	}
	answer, err := s.answer(w, r)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		http.Error(w, `{"error_code":"RESOURCE_DOES_NOT_EXIST"}`, http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case answer != nil:
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func (s *trackingServer) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	experiments, err := s.store.Experiments(r.Context())
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	switch r.URL.Path {
	case "/api/2.0/mlflow/experiments/search":
		var list []object
		for _, e := range experiments {
			mark, _, err := s.store.ExperimentTag(r.Context(), e, syntheticTag)
			if err != nil {
				return nil, err
			}
			list = append(list, object{"experiment_id": e.ID, "name": e.Name, "lifecycle_stage": e.Lifecycle, "tags": []object{{"key": syntheticTag, "value": mark}}})
		}
		return object{"experiments": list}, nil
	case "/api/2.0/mlflow/runs/search":
		return s.runs(r, experiments)
	case "/api/2.0/mlflow/artifacts/list":
		run, err := s.find(r, experiments)
		if err != nil {
			return nil, err
		}
		found, err := s.store.Artifacts(r.Context(), run, r.URL.Query().Get("path"))
		var list []object
		for _, a := range found {
			list = append(list, object{"path": a.Name, "is_dir": false, "file_size": a.Size})
		}
		if errors.Is(err, mlflow.ErrNoArtifacts) {
			err = nil
		}
		return object{"files": list}, err
	case "/get-artifact":
		run, err := s.find(r, experiments)
		if err != nil {
			return nil, err
		}
		name := path.Clean("/" + r.URL.Query().Get("path"))
		file := filepath.Join(s.store.String(), filepath.FromSlash(run.Dir), "artifacts", filepath.FromSlash(name))
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		// MLflow's ETag is made of time, size and path of the file that it sends.
		tag := url.QueryEscape(info.ModTime().String())
		if s.elsewhere {
			tag = strconv.FormatInt(s.answers.Add(1), 10)
		}
		w.Header().Set("ETag", strconv.Quote(tag))
		http.ServeFile(w, r, file)
		return nil, nil
	}
	return nil, fs.ErrNotExist
}

func (s *trackingServer) runs(r *http.Request, experiments []mlflow.Experiment) (any, error) {
	type object = map[string]any
	var asked struct {
		IDs   []string `json:"experiment_ids"`
		Token string   `json:"page_token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, err
	}
	var list []object
	for _, e := range experiments {
		if len(asked.IDs) != 1 || e.ID != asked.IDs[0] {
			continue
		}
		runs, err := s.store.Runs(r.Context(), e)
		if err != nil {
			return nil, err
		}
		for _, run := range runs {
			params, err := s.store.Params(r.Context(), run)
			if err != nil {
				return nil, err
			}
			var pairs []object
			for key, value := range params {
				pairs = append(pairs, object{"key": key, "value": value})
			}
			metrics, err := s.store.Metrics(r.Context(), run)
			if err != nil {
				return nil, err
			}
			var values []object
			for key, m := range metrics {
				var value any = m.Value
				if math.IsNaN(m.Value) {
					value = "NaN"
				}
				values = append(values, object{"key": key, "value": value, "timestamp": m.Time, "step": m.Step})
			}
			list = append(list, object{
				"info": object{"run_id": run.ID, "run_name": run.Name, "status": run.Status.String(), "lifecycle_stage": run.Lifecycle, "end_time": run.End, "artifact_uri": "mlflow-artifacts:/" + run.Dir + "/artifacts"},
				"data": object{"params": pairs, "metrics": values},
			})
		}
	}
	// Pages of five: a second one is there in every script.
	from, _ := strconv.Atoi(asked.Token)
	to := min(from+5, len(list))
	answer := object{"runs": list[from:to]}
	if to < len(list) {
		answer["next_page_token"] = strconv.Itoa(to)
	}
	return answer, nil
}

func (s *trackingServer) find(r *http.Request, experiments []mlflow.Experiment) (mlflow.Run, error) {
	for _, e := range experiments {
		runs, err := s.store.Runs(r.Context(), e)
		if err != nil {
			return mlflow.Run{}, err
		}
		for _, run := range runs {
			if run.ID == r.URL.Query().Get("run_id") {
				return run, nil
			}
		}
	}
	return mlflow.Run{}, fs.ErrNotExist
}
