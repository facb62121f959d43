package pipeline_test

import (
	gocmp "cmp"
	"context"
	"database/sql"
	"encoding/csv"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/duckfile"
)

// TestExpectedNumbers builds the bundled example with the program and compares
// the public database with what plain Python read from the same pickles
// (truth.csv), with measures computed by definition in Python (stratos.csv) and
// with the database of the Python reference (csv/, rounded to float32). Every
// deliberate difference of docs/differences.md is tested as such.
func TestExpectedNumbers(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the program and builds the bundled example")
	}
	t.Parallel()
	db := buildExample(t)
	ours := records(t, db, "SELECT * FROM essential_metrics ORDER BY config_id")
	byRun := map[string]record{}
	for _, r := range ours {
		byRun[r["mlflow_run_id"]] = r
	}
	truth := readCSV(t, "truth.csv")
	reference := map[string]record{}    // run id → row of the reference
	referenceRun := map[string]string{} // its config_id → run id
	for _, r := range readCSV(t, "csv/essential_metrics.csv") {
		reference[r["mlflow_run_id"]] = r
		referenceRun[r["config_id"]] = r["mlflow_run_id"]
	}

	t.Run("configurations", func(t *testing.T) {
		// Independently of our verdicts: finished, not deleted, the last to end
		// of its name.
		last := map[string]record{}
		for _, r := range truth {
			if r["status"] != "3" || r["lifecycle"] != "active" || r["pickle_bytes"] == "" {
				continue
			}
			if before, ok := last[r["run_name"]]; !ok || r["end_time"] > before["end_time"] {
				last[r["run_name"]] = r
			}
		}
		want := map[string]string{}
		for name, r := range last {
			want[r["run_id"]] = name
		}
		got := map[string]string{}
		for run, r := range byRun {
			got[run] = r["source_name"]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("runs and names that should be used (-) and are (+):\n%s", diff)
		}
		// The reference also takes the deleted run and, of the two runs of one
		// configuration, the one whose id sorts first.
		var shared int
		for run := range byRun {
			if _, ok := reference[run]; ok {
				shared++
			}
		}
		if len(byRun) != 52 || len(reference) != 53 || shared != 51 {
			t.Errorf("%d configurations here, %d in the reference, %d shared; want 52, 53, 51", len(byRun), len(reference), shared)
		}
	})

	t.Run("truth over refits", func(t *testing.T) {
		spread := map[string]record{}
		for _, r := range records(t, db, `SELECT mlflow_run_id || '/' || measure AS id, m.* FROM stratos_metrics m
			JOIN essential_metrics USING (config_id) WHERE estimand = 'over_models' ORDER BY 1`) {
			spread[r["id"]] = r
		}
		compared := 0
		for _, r := range truth {
			e, ok := byRun[r["run_id"]]
			if !ok {
				continue
			}
			near(t, r["run_id"]+" auroc", e["auroc"], r["AUROC_mean"], 1e-12, 0)
			near(t, r["run_id"]+" auroc_ci_lower", e["auroc_ci_lower"], r["AUROC_ci_lo"], 1e-12, 0)
			near(t, r["run_id"]+" auroc_ci_upper", e["auroc_ci_upper"], r["AUROC_ci_hi"], 1e-12, 0)
			near(t, r["run_id"]+" brier", e["brier"], r["Brier_mean"], 1e-12, 0)
			near(t, r["run_id"]+" n_test", e["n_test"], r["n_test"], 0, 0)
			near(t, r["run_id"]+" n_events", e["n_events"], r["n_events"], 0, 0)
			// Recomputed from the risks: the pickle's own numbers were computed
			// in the precision of the classifier.
			tolerance := 1e-12
			if r["y_pred_proba_dtype"] == "float32" {
				tolerance = 1e-7
			}
			for measure, name := range map[string]string{"auroc": "AUROC", "brier": "Brier"} {
				m := spread[r["run_id"]+"/"+measure]
				near(t, r["run_id"]+" "+measure+" mean", m["estimate"], r[name+"_mean"], tolerance, 0)
				near(t, r["run_id"]+" "+measure+" sd", m["spread_sd"], r[name+"_std"], tolerance, 0)
				near(t, r["run_id"]+" "+measure+" low", m["spread_lower"], r[name+"_ci_lo"], tolerance, 0)
				near(t, r["run_id"]+" "+measure+" high", m["spread_upper"], r[name+"_ci_hi"], tolerance, 0)
			}
			compared++
		}
		if compared != 52 {
			t.Errorf("compared %d runs, want 52", compared)
		}
	})

	t.Run("stratos", func(t *testing.T) {
		want := map[string]record{}
		for _, r := range readCSV(t, "stratos.csv") {
			want[r["run_id"]+"/"+r["estimand"]+"/"+r["measure"]] = r
		}
		got := records(t, db, `SELECT mlflow_run_id, m.* FROM stratos_metrics m JOIN essential_metrics USING (config_id) ORDER BY ALL`)
		if len(got) != 52*100 {
			t.Errorf("%d rows, want %d", len(got), 52*100)
		}
		compared := 0
		for _, m := range got {
			id := m["mlflow_run_id"] + "/" + m["estimand"] + "/" + m["measure"]
			w, ok := want[id]
			if !ok {
				continue // the file has the core measures; of the others the vectors of metrics speak
			}
			compared++
			columns := []string{"estimate", "spread_lower", "spread_upper", "spread_sd"}
			if !strings.HasPrefix(m["ci_method"], "bootstrap_") { // it has intervals of formulas
				columns = append(columns, "ci_lower", "ci_upper")
			}
			for _, column := range columns {
				near(t, id+" "+column, m[column], w[column], 1e-12, 1e-9)
			}
			if undefined := w["n_undefined"]; undefined != "" && undefined != m["n_undefined"] {
				t.Errorf("%s: %s refits undefined, want %s", id, m["n_undefined"], undefined)
			}
		}
		if compared != 52*20 {
			t.Errorf("compared %d measures, want %d", compared, 52*20)
		}
	})

	t.Run("compatibility columns", func(t *testing.T) {
		kept := map[string][]string{
			"essential_metrics": {"auroc", "auroc_ci_lower", "auroc_ci_upper", "brier", "o_e_ratio",
				"net_benefit_5pct", "net_benefit_10pct", "net_benefit_15pct", "net_benefit_20pct"},
			"supplementary_metrics": {"f1_score", "aupr", "ppv", "npv"},
			"dca_curves":            {"net_benefit_model", "net_benefit_none", "sensitivity", "specificity"},
			// The reference takes the mean risks that the pickle holds, and those
			// of one classifier as float32: bins and counts do not show it.
			"probability_distributions": {"outcome", "bin_index", "bin_start", "bin_end", "count"},
			"distribution_stats":        {"auroc", "median_cases", "median_controls", "mean_cases", "mean_controls", "n_cases", "n_controls"},
		}
		for _, table := range slices.Sorted(maps.Keys(kept)) {
			order := "config_id"
			switch table {
			case "dca_curves":
				order = "config_id, threshold"
			case "probability_distributions":
				order = "config_id, outcome, bin_index"
			}
			mine := map[string][]record{}
			for _, r := range records(t, db, fmt.Sprintf(`SELECT e.mlflow_run_id AS run, t.* FROM %s t JOIN essential_metrics e USING (config_id) ORDER BY t.%s`, table, order)) {
				mine[r["run"]] = append(mine[r["run"]], r)
			}
			theirs := map[string][]record{}
			for _, r := range readCSV(t, "csv/"+table+".csv") {
				run := referenceRun[r["config_id"]]
				theirs[run] = append(theirs[run], r)
			}
			compared := 0
			for run, rows := range mine {
				if len(theirs[run]) == 0 {
					continue
				}
				if len(rows) != len(theirs[run]) {
					t.Errorf("%s: %d rows of run %s, want %d", table, len(rows), run, len(theirs[run]))
					continue
				}
				for i, row := range rows {
					for _, column := range kept[table] {
						near(t, fmt.Sprintf("%s.%s of run %s, row %d", table, column, run, i), row[column], theirs[run][i][column], 1e-6, 0)
					}
				}
				compared++
			}
			if compared != 51 {
				t.Errorf("%s: compared %d runs, want 51", table, compared)
			}
		}
		for run, e := range byRun {
			if r, ok := reference[run]; ok {
				for _, column := range []string{"outlier_method", "imputation_method", "classifier", "featurization", "source_name", "run_id"} {
					if e[column] != r[column] {
						t.Errorf("run %s: %s is %q, in the reference %q", run, column, e[column], r[column])
					}
				}
			}
		}
	})

	t.Run("predictions", func(t *testing.T) {
		// The codes differ on purpose (theirs follow the order of the originals),
		// so the risks are compared as sorted lists within an outcome.
		type key struct{ run, outcome string }
		mine, theirs := map[key][]float64{}, map[key][]float64{}
		for _, r := range records(t, db, `SELECT e.mlflow_run_id AS run, p.* FROM predictions p JOIN essential_metrics e USING (config_id) ORDER BY ALL`) {
			k := key{r["run"], r["y_true"]}
			mine[k] = append(mine[k], number(t, r["y_prob"]))
			if (r["subject_code"][0] == 'G') != (r["y_true"] == "1") {
				t.Errorf("subject %s has outcome %s", r["subject_code"], r["y_true"])
			}
		}
		for _, r := range readCSV(t, "csv/predictions.csv") {
			k := key{referenceRun[r["config_id"]], r["y_true"]}
			theirs[k] = append(theirs[k], number(t, r["y_prob"]))
		}
		compared := 0
		for k, want := range theirs {
			got, ok := mine[k]
			if !ok {
				continue
			}
			slices.Sort(got)
			slices.Sort(want)
			if len(got) != len(want) {
				t.Errorf("%v: %d predictions, want %d", k, len(got), len(want))
				continue
			}
			for i := range got {
				if math.Abs(got[i]-want[i]) > 1e-6 {
					t.Errorf("%v: risk %d is %v, want %v", k, i, got[i], want[i])
				}
			}
			compared += len(got)
		}
		if compared != 51*63 {
			t.Errorf("compared %d predictions, want %d", compared, 51*63)
		}
	})

	t.Run("retention", func(t *testing.T) { retention(t, db, byRun, referenceRun) })
	t.Run("differences", func(t *testing.T) { differences(t, db, byRun, reference, referenceRun) })
	t.Run("no other differences", func(t *testing.T) { otherDifferences(t, db, referenceRun) })
}

// retention compares the retention curves: at every nominal rate of the
// reference with the rate that was really kept. Where it skipped a subset of one
// class, what needs both is undefined here and the rest is a number.
func retention(t *testing.T, db *sql.DB, byRun map[string]record, referenceRun map[string]string) {
	const n = 63
	type key struct {
		run, metric string
		kept        int
	}
	mine := map[key]string{}
	for _, r := range records(t, db, `SELECT e.mlflow_run_id AS run, m.* FROM retention_metrics m JOIN essential_metrics e USING (config_id) ORDER BY ALL`) {
		kept := number(t, r["retention_rate"]) * n
		if math.Abs(kept-math.Round(kept)) > 1e-9 {
			t.Errorf("rate %s keeps %v subjects", r["retention_rate"], kept)
		}
		mine[key{r["run"], r["metric_name"], int(math.Round(kept))}] = r["metric_value"]
	}
	if len(mine) != 52*18*4 { // 10 subjects at 5, 10 and 15 % are one rate
		t.Errorf("%d rows, want %d", len(mine), 52*18*4)
	}
	compared, merged := 0, 0
	theirs := map[key]bool{}
	for _, r := range readCSV(t, "csv/retention_metrics.csv") {
		run := referenceRun[r["config_id"]]
		if _, ok := byRun[run]; !ok {
			continue
		}
		nominal := number(t, r["retention_rate"])
		k := key{run, r["metric_name"], max(10, int(n*nominal+1e-4))}
		if theirs[k] {
			merged++
		}
		theirs[k] = true
		want := r["metric_value"]
		if k.metric == "brier" { // negated there
			want = strconv.FormatFloat(-number(t, want), 'g', -1, 64)
		}
		near(t, fmt.Sprintf("%s of run %s, %d subjects kept", k.metric, run, k.kept), mine[k], want, 1e-6, 0)
		compared++
	}
	if compared != 3408 || merged != 144 {
		t.Errorf("compared %d values, of which %d repeat those of another nominal rate; want 3408 and 144", compared, merged)
	}
	shared := map[string]bool{}
	for _, run := range referenceRun {
		shared[run] = true
	}
	skipped := 0
	for k, value := range mine {
		if theirs[k] || !shared[k.run] {
			continue
		}
		if needsBoth := k.metric == "auroc" || k.metric == "scaled_brier"; needsBoth != (value == "") {
			t.Errorf("%s of run %s, %d subjects of one class kept, is %q", k.metric, k.run, k.kept, value)
		}
		skipped++
	}
	if skipped != 408 {
		t.Errorf("%d rows that the reference skipped, want 408", skipped)
	}
	for _, r := range records(t, db, `SELECT count(*) AS n, count(DISTINCT cohort_id) AS ids, max(cohort_id) AS last, bool_and(metric_name IN ('auroc', 'brier', 'scaled_brier')) AS three
		FROM cohort_metrics c WHERE EXISTS (SELECT 1 FROM retention_metrics r WHERE r.config_id = c.config_id AND r.retention_rate = c.cohort_fraction
			AND r.metric_name = c.metric_name AND r.metric_value IS NOT DISTINCT FROM c.metric_value)`) {
		if want := fmt.Sprint(52 * 18 * 3); r["n"] != want || r["ids"] != want || r["last"] != want || r["three"] != "true" {
			t.Errorf("cohort_metrics is no view of retention_metrics: %v", r)
		}
	}
}

// differences tests what docs/differences.md lists.
func differences(t *testing.T, db *sql.DB, byRun, reference map[string]record, referenceRun map[string]string) {
	// Slope and intercept: the reference's optimiser stops early.
	worst := map[string]float64{}
	for run, e := range byRun {
		r, ok := reference[run]
		if !ok {
			continue
		}
		for _, column := range []string{"calibration_slope", "calibration_intercept"} {
			got, want := number(t, e[column]), number(t, r[column])
			worst[column] = math.Max(worst[column], math.Abs(got-want))
		}
		for _, column := range []string{"n_test", "n_events", "prevalence"} {
			if r[column] != "" || e[column] == "" {
				t.Errorf("run %s: %s is %q here and %q in the reference, where it is NULL throughout", run, column, e[column], r[column])
			}
		}
	}
	for column, limit := range map[string]float64{"calibration_slope": 2.5e-3, "calibration_intercept": 2.5e-3} {
		if worst[column] > limit || worst[column] < 1e-6 {
			t.Errorf("%s differs by up to %v from the reference, want between 1e-6 and %v", column, worst[column], limit)
		}
	}

	// Treat all is not capped at 0.
	mine := map[string]float64{}
	for _, r := range records(t, db, `SELECT e.mlflow_run_id AS run, d.* FROM dca_curves d JOIN essential_metrics e USING (config_id) ORDER BY ALL`) {
		mine[fmt.Sprintf("%s@%.2f", r["run"], number(t, r["threshold"]))] = number(t, r["net_benefit_all"])
	}
	capped := 0
	for _, r := range readCSV(t, "csv/dca_curves.csv") {
		want := number(t, r["net_benefit_all"])
		if want == 0 {
			capped++
		}
		got, ok := mine[fmt.Sprintf("%s@%.2f", referenceRun[r["config_id"]], number(t, r["threshold"]))]
		if ok && math.Abs(math.Max(got, 0)-want) > 1e-6 {
			t.Errorf("net_benefit_all of config %s at %s: %v here, %v in the reference", r["config_id"], r["threshold"], got, want)
		}
		if ok && want == 0 && got >= 0 {
			t.Errorf("net_benefit_all of config %s at %s is %v, where the reference capped it", r["config_id"], r["threshold"], got)
		}
	}
	if capped != 1272 {
		t.Errorf("the reference capped %d rows, want 1272", capped)
	}

	// Columns that are NULL there and filled here.
	for _, r := range records(t, db, "SELECT * FROM supplementary_metrics ORDER BY config_id") {
		for _, column := range []string{"accuracy", "sensitivity", "specificity"} {
			if r[column] == "" {
				t.Errorf("supplementary_metrics.%s of config %s is NULL", column, r["config_id"])
			}
		}
	}

	// Calibration bins: theirs repeat a grid as predicted mean and have no
	// counts; ours are bins of the predictions and hold every subject once.
	for _, r := range readCSV(t, "csv/calibration_curves.csv") {
		if r["n_samples"] != "" || r["predicted_mean"] != r["bin_midpoint"] {
			t.Fatalf("the reference's calibration curves are not what differences.md says: %v", r)
		}
	}
	for _, r := range records(t, db, `SELECT config_id, sum(n_samples) AS n, sum(n_samples * observed_proportion) AS events,
		sum(n_samples * predicted_mean) AS expected, (SELECT sum(y_prob) FROM predictions p WHERE p.config_id = c.config_id) AS risks
		FROM calibration_curves c GROUP BY config_id ORDER BY config_id`) {
		near(t, "subjects in the bins of config "+r["config_id"], r["n"], "63", 0, 0)
		near(t, "events in the bins of config "+r["config_id"], r["events"], "17", 1e-9, 0)
		near(t, "expected events of config "+r["config_id"], r["expected"], r["risks"], 1e-9, 0)
	}

	// Types and columns.
	for _, r := range records(t, db, `SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY ALL`) {
		if r["data_type"] == "FLOAT" || r["column_name"] == "extracted_at" || r["table_name"] == "extraction_checkpoints" {
			t.Errorf("%s.%s of type %s should not be there", r["table_name"], r["column_name"], r["data_type"])
		}
	}
}

// buildExample builds the bundled example in a fresh workspace and opens its
// public database.
// differing are the columns of the reference's tables that have another value
// anywhere in the runs that both have, those that we lack (-) and those that it
// lacks (+). docs/differences.md has a row for each.
var differing = map[string][]string{
	"calibration_curves":        {"bin_midpoint", "config_id", "curve_id", "n_samples", "observed_proportion", "predicted_mean"},
	"cohort_metrics":            {"cohort_fraction", "cohort_id", "config_id", "metric_value of brier"},
	"dca_curves":                {"config_id", "dca_id", "net_benefit_all"},
	"distribution_stats":        {"config_id"},
	"essential_metrics":         {"+registered", "+scaled_brier", "-extracted_at", "calibration_intercept", "calibration_slope", "config_id", "n_events", "n_test", "prevalence"},
	"predictions":               {"config_id", "prediction_id", "subject_code"},
	"probability_distributions": {"config_id", "dist_id"},
	"retention_metrics":         {"config_id", "metric_value of brier", "retention_id", "retention_rate"},
	"supplementary_metrics":     {"accuracy", "config_id", "sensitivity", "specificity"},
}

// otherDifferences compares every value of every table of the reference, so that
// what the documentation lists is all that there is.
func otherDifferences(t *testing.T, db *sql.DB, referenceRun map[string]string) {
	text, err := os.ReadFile("docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	ourRun := map[string]string{}
	for _, r := range records(t, db, "SELECT config_id, mlflow_run_id FROM essential_metrics") {
		ourRun[r["config_id"]] = r["mlflow_run_id"]
	}
	files, err := filepath.Glob("testdata/expected/csv/*.csv")
	if err != nil || len(files) != len(differing) {
		t.Fatalf("%d tables, %v; want %d", len(files), err, len(differing))
	}
	for _, file := range files {
		table := strings.TrimSuffix(filepath.Base(file), ".csv")
		theirs, ours := readCSV(t, "csv/"+table+".csv"), records(t, db, "SELECT * FROM "+table)
		found := map[string]bool{}
		for column := range theirs[0] {
			if _, ok := ours[0][column]; !ok {
				found["-"+column] = true
			}
		}
		for column := range ours[0] {
			if _, ok := theirs[0][column]; !ok {
				found["+"+column] = true
			}
		}
		shared := slices.Collect(maps.Values(ourRun))
		theirs = slices.DeleteFunc(theirs, func(r record) bool { return !slices.Contains(shared, referenceRun[r["config_id"]]) })
		want := keyed(t, theirs, referenceRun)
		compared := 0
		for key, o := range keyed(t, ours, ourRun) {
			r, ok := want[key]
			if !ok {
				continue
			}
			compared++
			for column, value := range r {
				if ours, ok := o[column]; ok && !alike(value, ours) {
					if name := r["metric_name"]; name != "" && column == "metric_value" {
						column += " of " + name
					}
					found[column] = true
				}
			}
		}
		if compared < 51 || compared != len(want) {
			t.Errorf("%s: %d of %d rows compared", table, compared, len(want))
		}
		if diff := cmp.Diff(differing[table], slices.Sorted(maps.Keys(found))); diff != "" {
			t.Errorf("%s: columns that are known to differ (-) and do (+):\n%s", table, diff)
		}
		for _, column := range differing[table] {
			if name, _, _ := strings.Cut(strings.TrimLeft(column, "+-"), " "); !strings.Contains(string(text), name) {
				t.Errorf("docs/differences.md does not speak of %s.%s", table, name)
			}
		}
	}
}

// alike says whether two values are the same but for the reference's float32.
func alike(a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	if err != nil || err2 != nil {
		return a == b
	}
	return math.Abs(x-y) <= 1e-6*max(1, math.Abs(x))
}

// keyed names the rows of a table by run and whatever tells them apart in both
// databases: a threshold, a bin, how many subjects are kept, or the place of a
// prediction among those of its run.
func keyed(t *testing.T, rows []record, run map[string]string) map[string]record {
	t.Helper()
	all := map[string]record{}
	place := map[string]int{}
	slices.SortStableFunc(rows, func(a, b record) int {
		if a["y_prob"] == "" {
			return 0
		}
		return gocmp.Compare(number(t, a["y_prob"]), number(t, b["y_prob"]))
	})
	for _, r := range rows {
		key := run[r["config_id"]] + "/" + r["outcome"] + "/" + r["bin_index"] + "/" + r["metric_name"]
		if r["threshold"] != "" {
			key += fmt.Sprintf("/%.4f", number(t, r["threshold"]))
		}
		for _, column := range []string{"retention_rate", "cohort_fraction"} {
			if r[column] != "" {
				key += fmt.Sprint("/", max(10, math.Floor(number(t, r[column])*63+1e-6)))
			}
		}
		if r["y_prob"] != "" {
			key += "/" + r["y_true"]
			place[key]++
			key += fmt.Sprint("/", place[key])
		}
		all[key] = r
	}
	return all
}

func buildExample(t *testing.T) *sql.DB {
	t.Helper()
	repo, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	workspace := t.TempDir()
	if err := os.CopyFS(filepath.Join(workspace, "configs"), os.DirFS(filepath.Join(repo, "configs"))); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(filepath.Join(repo, exampleArchive), filepath.Join(workspace, exampleArchive)); err != nil {
		t.Fatal(err)
	}
	build := exec.Command(compiled(t), "extract")
	build.Dir = workspace
	build.Env = append(os.Environ(), "STUDY=example", "NO_COLOR=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("extract: %v\n%s", err, out)
	}
	db, err := duckfile.Open(context.Background(), filepath.Join(workspace, "data/synthetic/results/data/public/foundation_plr_results.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// record is a row as text, by column; NULL is "".
type record map[string]string

func readCSV(t *testing.T, name string) []record {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata/expected", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []record
	for _, line := range lines[1:] {
		row := record{}
		for i, column := range lines[0] {
			row[column] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

func records(t *testing.T, db *sql.DB, query string) []record {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []record
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		row := record{}
		for i, column := range columns {
			switch v := (*values[i].(*any)).(type) {
			case nil:
				row[column] = ""
			case float64:
				row[column] = strconv.FormatFloat(v, 'g', -1, 64)
			default:
				row[column] = fmt.Sprint(v)
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("no rows: %s", query)
	}
	return all
}

// near compares two numbers that are both absent or within
// absolute + relative·|want| of each other.
func near(t *testing.T, what, got, want string, absolute, relative float64) {
	t.Helper()
	if got == "" && (want == "" || want == "nan") {
		return
	}
	if got == "" || want == "" {
		t.Errorf("%s is %q, want %q", what, got, want)
		return
	}
	g, w := number(t, got), number(t, want)
	if !(math.Abs(g-w) <= absolute+relative*math.Abs(w)) {
		t.Errorf("%s is %v, want %v", what, g, w)
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
