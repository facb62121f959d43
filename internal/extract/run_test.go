package extract

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/pickle"
	"github.com/foundation-plr/pipeline/metrics"
)

// Six made-up subjects and three refits, AUROC 8/9, 8/9 and 1.
var (
	madeRisks = []float64{
		0.1, 0.2, 0.125,
		0.6, 0.5, 0.25,
		0.2, 0.3, 0.375,
		0.5, 0.4, 0.625,
		0.7, 0.8, 0.75,
		0.9, 0.6, 0.5,
	}
	madeLabels = []int64{0, 0, 0, 1, 1, 1}
)

const (
	madeSubjects = 6
	madeRefits   = 3
)

func codesFrom(first, n int) pyObjects {
	var codes pyObjects
	for i := range n {
		codes = append(codes, madeCode(first+i))
	}
	return codes
}

func repeat(labels []int64, refits int) []int64 {
	var out []int64
	for _, y := range labels {
		for range refits {
			out = append(out, y)
		}
	}
	return out
}

func pyDoubles(xs ...float64) pyArray { return pyArray{[]int{len(xs)}, xs} }

func pyFloats(xs ...float64) []any {
	var out []any
	for _, x := range xs {
		out = append(out, pyScalar(x))
	}
	return out
}

// refitBrier is the Brier score of one refit of madeRisks.
func refitBrier(m int) float64 {
	var sum float64
	for i, y := range madeLabels {
		d := madeRisks[i*madeRefits+m] - float64(y)
		sum += d * d
	}
	return sum / madeSubjects
}

// madePickle has the layout of a metrics pickle as far as it is read.
func madePickle() pyDict {
	nan := math.NaN()
	brier := []float64{refitBrier(0), refitBrier(1), refitBrier(2)}
	brierMean := (brier[0] + brier[1] + brier[2]) / 3
	var brierVar float64
	for _, b := range brier {
		brierVar += (b - brierMean) * (b - brierMean) / 3
	}
	auroc := []float64{8.0 / 9, 8.0 / 9, 1}
	means := make([]float64, madeSubjects)
	for i := range means {
		means[i] = (madeRisks[3*i] + madeRisks[3*i+1] + madeRisks[3*i+2]) / 3
	}
	low, high := min(brier[0], brier[1], brier[2]), max(brier[0], brier[1], brier[2])
	middle := brier[0] + brier[1] + brier[2] - low - high
	summary := func(mean, sd, lower, upper float64) pyDict {
		return pyDict{{"n", madeRefits}, {"mean", pyScalar(mean)}, {"std", pyScalar(sd)}, {"ci", pyDoubles(lower, upper)}}
	}
	return pyDict{
		{"metrics_iter", pyDict{{"test", pyDict{
			{"metrics", pyDict{
				{"scalars", pyDict{
					{"AUROC", pyFloats(auroc...)},
					{"Brier", pyFloats(brier...)},
					{"PPV_prev", []any{pyScalar(0.25), nan, 0.75}},
					{"tpAUC", pyFloats(0.5, 0.5, 0.5)},
				}},
				{"arrays", pyDict{{"calibration_curve", pyDict{
					{"prob_pred", pyArray{[]int{2, 3}, []float64{0, 0, 0, 1, 1, 1}}},
					{"prob_true", pyArray{[]int{2, 3}, []float64{0, 0.5, 0.25, nan, 1, 1}}},
				}}}},
			}},
			{"preds", pyDict{{"arrays", pyDict{{"predictions", pyDict{
				{"y_pred_proba", pyArray{[]int{madeSubjects, madeRefits}, madeRisks}},
				{"label", pyArray{[]int{madeSubjects, madeRefits}, repeat(madeLabels, madeRefits)}},
			}}}}}},
		}}}},
		{"metrics_stats", pyDict{{"test", pyDict{{"metrics", pyDict{
			{"scalars", pyDict{
				{"AUROC", summary(25.0/27, math.Sqrt(2)/27, 8.0/9, 1-0.05/9)},
				{"Brier", summary(brierMean, math.Sqrt(brierVar), low+0.05*(middle-low), high-0.05*(high-middle))},
				{"PPV_prev", summary(0.5, 0.25, 0.2625, 0.7375)},
				{"tpAUC", summary(0.5, 0, nan, nan)},
			}},
			{"arrays", pyDict{{"calibration_curve", pyDict{
				{"prob_pred", pyDict{{"mean", pyDoubles(0, 1)}}},
				{"prob_true", pyDict{{"mean", pyDoubles(0.25, nan)}}},
			}}}},
		}}}}}},
		{"subjectwise_stats", pyDict{
			{"train", pyDict{{"subject_code", codesFrom(50, 2)}, {"labels", pyArray{[]int{2}, []int64{0, 1}}}}},
			{"test", pyDict{
				{"preds", pyDict{{"y_pred_proba", pyDict{{"mean", pyDoubles(means...)}}}}},
				{"subject_code", codesFrom(1, madeSubjects)},
				{"labels", pyArray{[]int{madeSubjects}, madeLabels}},
			}},
		}},
		{"subject_global_stats", pyNone{}},
	}
}

// readMade reads a pickle as that of a run.
func readMade(t *testing.T, root pyDict, o RunOptions) (*Record, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metrics.pickle")
	writePickle(t, file, root)
	r, err := ReadRun(file, madeRun, o)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Artifact{BLAKE3: fmt.Sprintf("%x", blake3.Sum256(data)), Bytes: int64(len(data))}); r.Artifact != want {
		t.Errorf("the artifact is %v, want %v", r.Artifact, want)
	}
	r.Artifact = Artifact{} // of pickles that are written differently
	return r, nil
}

var madeRun = IndexedRun{
	RunID: "0123", Name: "CATBOOST_eval-auc__a__b__c",
	Artifact:      "1/0123/artifacts/metrics/metrics_X.pickle",
	Configuration: Configuration{Classifier: "CatBoost", Featurization: "a", Imputation: "b", Outlier: "c"},
}

func TestReadRun(t *testing.T) {
	r, err := readMade(t, madePickle(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Record{
		Head: Head{
			Format: RecordFormat, RunID: "0123", Configuration: madeRun.Configuration, Verdict: Used,
			Subjects: codesFrom(1, 6), Outcomes: []int{0, 0, 0, 1, 1, 1}, Train: codesFrom(50, 2), TrainOutcomes: []int{0, 1}, Refits: 3,
		},
		RiskType:    "float64",
		Calibration: PickledCalibration{Grid: []*float64{ptr(0.0), ptr(1.0)}, Observed: []*float64{ptr(0.25), nil}},
	}
	head := *r
	head.Risks, head.Spreads, head.Scalars, head.Measures, head.ROC, head.Bins, head.Decision, head.Checks = nil, nil, nil, nil, nil, nil, nil, nil
	head.Joint, head.Paired = Joint{}, Paired{}
	if diff := cmp.Diff(want, &head); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if s := r.Scalars["tpAUC"]; s.N != 3 || *s.SD != 0 || s.Lower != nil || s.Upper != nil {
		t.Errorf("a measure without variation: %+v", s)
	}
	if len(r.Measures) != 100 || len(r.Bins) != 10 || len(r.Decision) != 50 {
		t.Errorf("%d measures, %d bins, %d thresholds", len(r.Measures), len(r.Bins), len(r.Decision))
	}
	if m := r.find(t, metrics.OverModels, "auroc"); math.Abs(*m.Estimate-25.0/27) > 1e-15 || m.Method != metrics.DeLongLogit {
		t.Errorf("AUROC over refits: %+v", m)
	}
	if r.ROC[0].Threshold != nil || r.ROC[len(r.ROC)-1].TPR != 1 {
		t.Errorf("ROC curve from %+v to %+v", r.ROC[0], r.ROC[len(r.ROC)-1])
	}
	if d := r.Decision[28]; d.Threshold != 0.29 {
		t.Errorf("threshold 29 is %v", d.Threshold)
	}
	for _, c := range r.Checks {
		if !c.OK {
			t.Errorf("check %s: expected %v, found %v", c.Name, show(c.Expected), show(c.Found))
		}
	}
}

func TestReadRunThresholds(t *testing.T) {
	r, err := readMade(t, madePickle(), RunOptions{Thresholds: []float64{0.3}})
	if err != nil {
		t.Fatal(err)
	}
	if m := r.find(t, metrics.MeanRisk, "nb@0.3"); m.Estimate == nil {
		t.Errorf("net benefit at 0.3: %+v", m)
	}
	for _, m := range r.Measures {
		if m.Measure == "nb@0.05" {
			t.Error("a threshold that was not asked for")
		}
	}
}

// An ensemble has the plural "labels"; other classifiers predict float32.
func TestReadRunVariants(t *testing.T) {
	plain, err := readMade(t, madePickle(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := []string{"metrics_iter", "test", "preds", "arrays", "predictions"}
	single := make([]float32, len(madeRisks))
	for i, p := range madeRisks {
		single[i] = float32(p)
	}
	ensemble, err := readMade(t, madePickle().with(pyDict{
		{"y_pred_proba", pyArray{[]int{madeSubjects, madeRefits}, madeRisks}},
		{"labels", pyArray{[]int{madeSubjects, madeRefits}, repeat(madeLabels, madeRefits)}},
	}, at...), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, ensemble); diff != "" {
		t.Errorf("an ensemble reads otherwise:\n%s", diff)
	}
	r, err := readMade(t, madePickle().with(pyArray{[]int{madeSubjects, madeRefits}, single}, append(at, "y_pred_proba")...), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.RiskType != "float32" || r.Checks[0].Tolerance != 1e-6 {
		t.Errorf("risks of float32: type %s, tolerance %v", r.RiskType, r.Checks[0].Tolerance)
	}
}

// metrics_stats is None where the training code could not summarise: the same
// numbers come from its values of every refit.
func TestReadRunWithoutSummaries(t *testing.T) {
	with, err := readMade(t, madePickle(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	without, err := readMade(t, madePickle().with(pyNone{}, "metrics_stats"), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range with.Scalars {
		got := without.Scalars[name]
		if got.N != want.N {
			t.Errorf("%s: n %d, want %d", name, got.N, want.N)
		}
		compare(t, name+" mean", got.Mean, want.Mean, 1e-15, 0)
		compare(t, name+" SD", got.SD, want.SD, 1e-15, 0)
		compare(t, name+" lower", got.Lower, want.Lower, 1e-15, 0)
		compare(t, name+" upper", got.Upper, want.Upper, 1e-15, 0)
	}
	if diff := cmp.Diff(with.Calibration, without.Calibration); diff != "" {
		t.Errorf("calibration curve (-pickled +computed):\n%s", diff)
	}
}

// subjectwise_stats is None where the training code swallowed an error.
func TestReadRunWithoutSubjects(t *testing.T) {
	root := madePickle().with(pyNone{}, "subjectwise_stats")
	_, err := readMade(t, root, RunOptions{})
	var failure *RunError
	if !errors.As(err, &failure) || !strings.Contains(err.Error(), "1/0123/artifacts/dict_arrays/dictArrays_X.pickle") {
		t.Errorf("error %v does not name the file that would help", err)
	}
	codes := pyDict{
		{"y_train", pyArray{[]int{2}, []int64{0, 1}}},
		{"y_test", pyArray{[]int{madeSubjects}, madeLabels}},
		{"subject_codes_train", codesFrom(50, 2)},
		{"subject_codes_test", codesFrom(1, madeSubjects)},
	}
	file := filepath.Join(t.TempDir(), "dictArrays.pickle")
	writePickle(t, file, codes)
	got, err := readMade(t, root, RunOptions{CodesPath: file})
	if err != nil {
		t.Fatal(err)
	}
	want, err := readMade(t, madePickle(), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want.Checks = want.Checks[:len(want.Checks)-1] // the pickle has no mean risks then
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record (-with +without subjects in the pickle):\n%s", diff)
	}
	writePickle(t, file, codes.with(pyArray{[]int{madeSubjects}, []int64{1, 0, 0, 1, 1, 1}}, "y_test"))
	if _, err := readMade(t, root, RunOptions{CodesPath: file}); err == nil || !strings.Contains(err.Error(), "1 of 6 subjects have another label") {
		t.Errorf("error %v does not count the labels that differ", err)
	}
	writePickle(t, file, codes.with(nil, "y_test"))
	if _, err := readMade(t, root, RunOptions{CodesPath: file}); err == nil || !strings.Contains(err.Error(), "dictArrays_X.pickle") {
		t.Errorf("error %v does not name the file", err)
	}
}

// A summary that the predictions contradict is published as a failed check.
func TestReadRunChecks(t *testing.T) {
	at := []string{"metrics_stats", "test", "metrics", "scalars", "AUROC"}
	r, err := readMade(t, madePickle().with(pyScalar(0.75), append(at, "mean")...), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if c.OK != (c.Name != "auroc_mean") {
			t.Errorf("check %s is %v", c.Name, c.OK)
		}
	}
	r, err = readMade(t, madePickle().with(pyDoubles(math.NaN(), 1), append(at, "ci")...), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Scalars["AUROC"].Lower != nil || r.Checks[2].Name != "auroc_lower" || r.Checks[2].OK {
		t.Errorf("a range that is half NaN passes: %+v", r.Checks[2])
	}
	r, err = readMade(t, madePickle().with(pyDoubles(0, 0, 0, 0, 0, math.NaN()),
		"subjectwise_stats", "test", "preds", "y_pred_proba", "mean"), RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if last := r.Checks[len(r.Checks)-1]; last.OK || last.Found != nil {
		t.Errorf("a NaN among the mean risks passes: %+v", last)
	}
}

// One class only: measures are undefined with a reason, nothing is made up.
func TestReadRunOneClass(t *testing.T) {
	zeros := make([]int64, madeSubjects)
	root := madePickle().
		with(pyArray{[]int{madeSubjects, madeRefits}, repeat(zeros, madeRefits)}, "metrics_iter", "test", "preds", "arrays", "predictions", "label").
		with(pyArray{[]int{madeSubjects}, zeros}, "subjectwise_stats", "test", "labels")
	r, err := readMade(t, root, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := r.find(t, metrics.MeanRisk, "auroc")
	if m.Estimate != nil || m.Undefined != string(metrics.OneClass) || m.Method != notAvailable {
		t.Errorf("AUROC of one class: %+v", m)
	}
	if r.ROC != nil || r.Joint.Slope != nil || r.Joint.Undefined == "" {
		t.Errorf("ROC %v, slope %+v", r.ROC, r.Joint)
	}
	if err := Write(filepath.Join(t.TempDir(), "r"), r); err != nil {
		t.Error(err)
	}
}

func TestReadRunRefuses(t *testing.T) {
	predictions := []string{"metrics_iter", "test", "preds", "arrays", "predictions"}
	risks := append(predictions[:5:5], "y_pred_proba")
	labels := append(predictions[:5:5], "label")
	codes := []string{"subjectwise_stats", "test", "subject_code"}
	matrix := func(change func([]float64)) pyArray {
		values := append([]float64(nil), madeRisks...)
		change(values)
		return pyArray{[]int{madeSubjects, madeRefits}, values}
	}
	classes := func(at int, class int64) pyArray {
		values := repeat(madeLabels, madeRefits)
		values[at] = class
		return pyArray{[]int{madeSubjects, madeRefits}, values}
	}
	for name, c := range map[string]struct {
		root pyDict
		want string
	}{
		"no predictions":    {madePickle().with(nil, predictions...), "metrics_iter/test/preds/arrays/predictions"},
		"no labels":         {madePickle().with(nil, labels...), "predictions/labels"},
		"risks of integers": {madePickle().with(classes(0, 0), risks...), "risks are float64 or float32"},
		"one dimension":     {madePickle().with(pyDoubles(1, 2), risks...), "subjects by refits"},
		"other shape":       {madePickle().with(pyArray{[]int{3, 6}, madeRisks}, risks...), "[3 6]"},
		"no refits":         {madePickle().with(pyArray{[]int{6, 0}, []float64{}}, risks...), "subjects by refits"},
		"NaN":               {madePickle().with(matrix(func(v []float64) { v[4] = math.NaN() }), risks...), "NaN"},
		"beyond 1":          {madePickle().with(matrix(func(v []float64) { v[4] = 1.5 }), risks...), "1.5"},
		"label 2":           {madePickle().with(classes(0, 2), labels...), "row 1: label 2"},
		"label changes":     {madePickle().with(classes(4, 1), labels...), "row 2 changes its label"},
		"labels disagree":   {madePickle().with(pyArray{[]int{6}, []int64{0, 1, 1, 1, 1, 1}}, "subjectwise_stats", "test", "labels"), "2 of 6 subjects"},
		"too few codes":     {madePickle().with(codesFrom(1, 5), codes...), "5"},
		"a code twice":      {madePickle().with(append(codesFrom(1, 5), madeCode(1)), codes...), "row 6 repeats a subject"},
		"an empty code":     {madePickle().with(append(codesFrom(1, 5), ""), codes...), "row 6 is empty"},
		"a blank behind":    {madePickle().with(append(codesFrom(1, 5), madeCode(9)+" "), codes...), "row 6 has blanks around"},
		"a NUL behind":      {madePickle().with(append(codesFrom(1, 5), madeCode(9)+"\x00"), codes...), "row 6 has blanks around"},
		"a tab in training": {madePickle().with(append(codesFrom(7, 1), "\t"+madeCode(9)), "subjectwise_stats", "train", "subject_code"), "row 2 has blanks around"},
		"a soft hyphen":     {madePickle().with(append(codesFrom(1, 5), "PLR\u00ad7009"), codes...), "do not show"},
		"train and test":    {madePickle().with(codesFrom(6, 2), "subjectwise_stats", "train", "subject_code"), "1 subjects are in both"},
		"no AUROC": {madePickle().with(pyNone{}, "metrics_stats").with(nil, "metrics_iter", "test", "metrics", "scalars", "AUROC"),
			"scalars/AUROC"},
		"refits lost": {madePickle().with(pyNone{}, "metrics_stats").with(pyFloats(1, 1), "metrics_iter", "test", "metrics", "scalars", "AUROC"),
			"2 values for 3 refits"},
		"scalars of another layout": {madePickle().with("none", "metrics_stats"), "metrics_stats"},
		"infinite":                  {madePickle().with(pyScalar(math.Inf(1)), "metrics_stats", "test", "metrics", "scalars", "PPV_prev", "mean"), "infinite"},
		"not a dict":                {pyDict{{"a", 1}}, "metrics_iter"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readMade(t, c.root, RunOptions{})
			checkRunError(t, err, c.want)
		})
	}
}

// checkRunError wants the run, the file, the reason and the remedies, and
// nothing that is private.
func checkRunError(t *testing.T, err error, want string) {
	t.Helper()
	var failure *RunError
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want a *RunError", err)
	}
	for _, part := range []string{want, madeRun.RunID, madeRun.Name, madeRun.Artifact, "repair", "EXTRACTION.exclude_runs"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "PLR7") || strings.Contains(err.Error(), os.TempDir()) {
		t.Errorf("error %q names a subject or a place on this machine", err)
	}
}

func TestReadRunBrokenFiles(t *testing.T) {
	whole := encodePickle(madePickle())
	command := []byte("\x80\x04cos\nsystem\n(X\x04\x00\x00\x00trueR.")
	for name, c := range map[string]struct {
		data       []byte // nil: no file
		want       string
		unfinished bool // where the run is open
	}{
		"missing":  {nil, "no such file", true},
		"half":     {whole[:len(whole)/2], "damaged", true},
		"empty":    {[]byte{}, "damaged", true},
		"noise":    {bytes.Repeat([]byte{0x9e, 0x37, 0x79, 0xb9}, 100), "pickle", true},
		"a system": {command, "refused", false},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "metrics.pickle")
			if c.data != nil {
				if err := os.WriteFile(file, c.data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := ReadRun(file, madeRun, RunOptions{})
			checkRunError(t, err, c.want)
			open := madeRun
			open.Open = true
			record, err := ReadRun(file, open, RunOptions{})
			if !c.unfinished {
				checkRunError(t, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := &Record{Head: Head{Format: RecordFormat, RunID: "0123", Configuration: madeRun.Configuration, Verdict: Unfinished, Reason: ReasonIncomplete}}
			if diff := cmp.Diff(want, record); diff != "" {
				t.Errorf("record of an open run (-want +got):\n%s", diff)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "metrics.pickle")
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	open := madeRun
	open.Open = true
	if record, err := ReadRun(file, open, RunOptions{}); err != nil || record.Verdict != Used {
		t.Errorf("an open run with a complete pickle is %v, %v", record, err)
	}
	_, err := ReadRun(file, open, RunOptions{Limits: pickle.Limits{MaxFileBytes: 100}})
	checkRunError(t, err, fmt.Sprint(len(whole)))
}
