package extract

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"github.com/foundation-plr/pipeline/internal/pickle"
	"github.com/foundation-plr/pipeline/internal/sourcedb"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// RunOptions says how a pickle is read and measured.
type RunOptions struct {
	Thresholds []float64     // risks at which net benefit is a measure; none: DefaultThresholds
	KeepRisks  bool          // the record holds the risks of every refit
	Limits     pickle.Limits // zero fields: DefaultLimits
	// CodesPath is the file that names the subjects where the pickle does not
	// (see CodesArtifact); empty where there is none. It is read only then.
	CodesPath string
	// Digest and CodesDigest are what the two files are known to be, as hex of
	// BLAKE3; a file that is another by the time it is read is an error. Empty:
	// whatever it is.
	Digest, CodesDigest string
}

// DefaultLimits bounds what reading one pickle may cost. A study's need 10 MB
// beside the file's own bytes, which are dropped as they are read; 112 MB are
// for one whose wanted parts share values with the others, so that everything
// has to be made. Go's collector may let that double before it is done.
var DefaultLimits = func() pickle.Limits {
	l := pickle.DefaultLimits
	l.MaxHeld = 112 << 20
	return l
}()

// Wanted is what this package reads of a metrics pickle: a fortieth of it.
var Wanted = pickle.NewPaths(
	"metrics_iter/test/preds/arrays/predictions/y_pred_proba",
	"metrics_iter/test/preds/arrays/predictions/label",
	"metrics_iter/test/preds/arrays/predictions/labels",
	"metrics_iter/test/metrics/scalars",
	"metrics_iter/test/metrics/arrays/calibration_curve",
	"metrics_stats/test/metrics/scalars",
	"metrics_stats/test/metrics/arrays/calibration_curve",
	"subjectwise_stats/test",
	"subjectwise_stats/train/subject_code",
	"subjectwise_stats/train/labels",
)

// readPickle reads what want names of a file that digest is of.
func readPickle(path, digest string, want *pickle.Paths, l pickle.Limits) (*pickle.File, error) {
	if l.MaxHeld == 0 {
		l.MaxHeld = DefaultLimits.MaxHeld
	}
	file, err := pickle.ReadFile(path, want, l)
	if err != nil {
		return nil, err
	}
	if digest != "" && file.Digest != digest {
		return nil, &pickle.Error{Kind: pickle.Unreadable, Offset: -1,
			Detail: "it is not the file that the build looked at: somebody writes it; run the build again when that is done"}
	}
	return file, nil
}

// codesDir is the artifact directory of that file.
const codesDir = "dict_arrays"

// CodesArtifact is the slash path of the file that the training code leaves
// beside a metrics pickle, with the feature arrays and the subjects of both
// sets in the order of the predictions. A step that reads artifact depends on
// it too, present or absent.
func CodesArtifact(artifact string) string {
	name := strings.TrimPrefix(path.Base(artifact), "metrics_")
	return path.Join(path.Dir(path.Dir(artifact)), codesDir, "dictArrays_"+name)
}

// ReasonIncomplete is the reason of the verdict Unfinished.
const ReasonIncomplete = "open run without a complete metrics pickle"

// RunError says which run could not be read, which of its files and why. Its
// text holds no subject and, of the store's free text, only the run's name and
// the path below the store's root, or below the place outside it.
type RunError struct {
	RunID, Name string
	File        string // that path, with slashes
	Err         error
}

// Error ends with the two remedies.
func (e *RunError) Error() string {
	return fmt.Sprintf("run %s (%s): %s: %v; repair the file, or list the run under EXTRACTION.exclude_runs with a reason",
		e.RunID, e.Name, e.File, e.Err)
}

// Unwrap gives the reason.
func (e *RunError) Unwrap() error { return e.Err }

// Risk types, as classifiers predict.
const (
	float64Name = "float64"
	float32Name = "float32"
)

// ReadRun reads the metrics pickle at path, which is run.Artifact on this
// machine, and measures its predictions. Summaries over refits that the
// pickle lacks (its metrics_stats may be None) are computed from its values of
// every refit in the same way; subjects that it lacks (its subjectwise_stats
// may be None) are taken from o.CodesPath.
//
// A run that the store still calls open may have no pickle yet or half of one:
// its record has the verdict Unfinished and nothing else. Everything else that
// is wrong is a *RunError.
func ReadRun(path string, run IndexedRun, o RunOptions) (*Record, error) {
	record := &Record{Head: Head{Format: RecordFormat, RunID: run.RunID, Configuration: run.Configuration, Verdict: Used}}
	fail := func(file string, err error) (*Record, error) {
		return nil, &RunError{RunID: run.RunID, Name: run.Name, File: file, Err: err}
	}
	file, err := readPickle(path, o.Digest, Wanted, o.Limits)
	if err != nil {
		if run.Open && incomplete(err) {
			return &Record{Head: Head{
				Format: RecordFormat, RunID: run.RunID, Configuration: run.Configuration,
				Verdict: Unfinished, Reason: ReasonIncomplete,
			}}, nil
		}
		return fail(run.Artifact, err)
	}
	root := file.Value
	record.Artifact = Artifact{BLAKE3: file.Digest, Bytes: file.Size}
	p, err := readPredictions(root)
	if err != nil {
		return fail(run.Artifact, err)
	}
	who, err := readSubjects(root)
	if errors.Is(err, errNoSubjects) {
		codes := CodesArtifact(run.Artifact)
		if o.CodesPath == "" {
			return fail(run.Artifact, fmt.Errorf("%w, and %s, which would name them, does not exist", err, codes))
		}
		if who, err = readCodes(o.CodesPath, o.CodesDigest, o.Limits); err != nil {
			return fail(codes, fmt.Errorf("read for the subjects that the metrics pickle lacks: %w", err))
		}
	}
	if err != nil {
		return fail(run.Artifact, err)
	}
	if err := who.check(p); err != nil {
		return fail(run.Artifact, err)
	}
	record.Subjects, record.Outcomes = who.test, p.outcomes
	record.Train, record.TrainOutcomes = who.train, who.trainOutcomes
	record.RiskType = p.riskType
	thresholds := o.Thresholds
	if len(thresholds) == 0 {
		thresholds = DefaultThresholds
	}
	if err := record.Measure(p.risks, thresholds); err != nil {
		return fail(run.Artifact, err)
	}
	if o.KeepRisks {
		record.RefitRisks = p.risks
	}
	if record.Scalars, err = readScalars(root, record.Refits); err != nil {
		return fail(run.Artifact, err)
	}
	if record.Calibration, err = readCalibration(root, record.Refits); err != nil {
		return fail(run.Artifact, err)
	}
	record.checkScalars()
	if err := record.checkClassification(p.risks); err != nil {
		return fail(run.Artifact, err)
	}
	if who.meanRisks != nil {
		record.checkMeanRisks(who.meanRisks)
	}
	return record, nil
}

// incomplete tells a pickle that is not there yet or still being written from
// one that will never be read.
func incomplete(err error) bool {
	var failure *pickle.Error
	if !errors.As(err, &failure) {
		return false
	}
	switch failure.Kind {
	case pickle.Damaged:
		return true
	case pickle.Unreadable:
		return failure.Err == nil || errors.Is(failure.Err, fs.ErrNotExist)
	}
	return false
}

// predictions are the risks of the test set under every refit.
type predictions struct {
	risks    [][]float64 // [refit][subject]
	outcomes []int
	riskType string
}

func readPredictions(root any) (*predictions, error) {
	const where = "metrics_iter/test/preds/arrays/predictions"
	risks, err := matrix(root, where+"/y_pred_proba")
	if err != nil {
		return nil, err
	}
	p := &predictions{}
	switch strings.TrimLeft(risks.DType, "<>") {
	case "f8":
		p.riskType = float64Name
	case "f4":
		p.riskType = float32Name
	default:
		return nil, fmt.Errorf("%s/y_pred_proba has the dtype %s; risks are float64 or float32", where, risks.DType)
	}
	values, err := risks.Floats()
	if err != nil {
		return nil, fmt.Errorf("%s/y_pred_proba: %w", where, err)
	}
	subjects, refits := risks.Shape[0], risks.Shape[1]
	p.risks = make([][]float64, refits)
	for m := range p.risks {
		p.risks[m] = make([]float64, subjects)
		for i := range p.risks[m] {
			p.risks[m][i] = values[i*refits+m]
		}
	}
	labelsAt := where + "/label"
	// Ensembles have the plural.
	if v, err := optional(root, labelsAt); err == nil && v == nil {
		labelsAt = where + "/labels"
	}
	labels, err := matrix(root, labelsAt)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(labels.Shape, risks.Shape) {
		return nil, fmt.Errorf("%s/y_pred_proba has the shape %v and %s the shape %v", where, risks.Shape, labelsAt, labels.Shape)
	}
	classes, err := labels.Ints()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", labelsAt, err)
	}
	p.outcomes = make([]int, subjects)
	for i := range p.outcomes {
		row := classes[i*refits : (i+1)*refits]
		if p.outcomes[i], err = outcome(row[0]); err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", labelsAt, i+1, err)
		}
		for _, class := range row {
			if class != row[0] {
				return nil, fmt.Errorf("%s: row %d changes its label between refits", labelsAt, i+1)
			}
		}
	}
	return p, nil
}

// matrix is an array of subjects by refits, with at least one of each.
func matrix(root any, where string) (*pickle.Array, error) {
	v, err := at(root, where)
	if err != nil {
		return nil, err
	}
	array, err := pickle.AsArray(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	if len(array.Shape) != 2 || array.Shape[0] < 1 || array.Shape[1] < 1 {
		return nil, fmt.Errorf("%s has the shape %v; it must be subjects by refits", where, array.Shape)
	}
	return array, nil
}

func outcome(class int64) (int, error) {
	if class != 0 && class != 1 {
		return 0, fmt.Errorf("label %d is neither 0 (control) nor 1 (event)", class)
	}
	return int(class), nil
}

// errNoSubjects is the one shortcoming of a pickle that another file can mend.
var errNoSubjects = errors.New("the pickle does not name its subjects (subjectwise_stats is None)")

// persons are the subjects of a run.
type persons struct {
	test, train                 []string
	testOutcomes, trainOutcomes []int
	meanRisks                   []float64 // of the test set, as the pickle summarises them; nil where it does not
}

func readSubjects(root any) (*persons, error) {
	const where = "subjectwise_stats"
	v, err := at(root, where)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, errNoSubjects
	}
	who := &persons{}
	if who.test, who.testOutcomes, err = codesAndLabels(root, where+"/test/subject_code", where+"/test/labels"); err != nil {
		return nil, err
	}
	if who.train, who.trainOutcomes, err = codesAndLabels(root, where+"/train/subject_code", where+"/train/labels"); err != nil {
		return nil, err
	}
	const meanAt = where + "/test/preds/y_pred_proba/mean"
	if who.meanRisks, err = floats(root, meanAt); err != nil {
		return nil, err
	}
	if len(who.meanRisks) != len(who.test) {
		return nil, fmt.Errorf("%s has %d numbers for %d subjects", meanAt, len(who.meanRisks), len(who.test))
	}
	return who, nil
}

// wantedCodes is what names the subjects in the arrays of the training code.
var wantedCodes = pickle.NewPaths("subject_codes_test", "subject_codes_train", "y_test", "y_train")

// readCodes reads the subjects from the arrays of the training code.
func readCodes(path, digest string, limits pickle.Limits) (*persons, error) {
	file, err := readPickle(path, digest, wantedCodes, limits)
	if err != nil {
		return nil, err
	}
	root := file.Value
	who := &persons{}
	if who.test, who.testOutcomes, err = codesAndLabels(root, "subject_codes_test", "y_test"); err != nil {
		return nil, err
	}
	if who.train, who.trainOutcomes, err = codesAndLabels(root, "subject_codes_train", "y_train"); err != nil {
		return nil, err
	}
	return who, nil
}

func codesAndLabels(node any, codesAt, labelsAt string) ([]string, []int, error) {
	v, err := at(node, codesAt)
	if err != nil {
		return nil, nil, err
	}
	codes, err := pickle.Strings(v)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", codesAt, err)
	}
	seen := make(map[string]bool, len(codes))
	for i, code := range codes {
		if code == "" {
			return nil, nil, fmt.Errorf("%s: row %d is empty", codesAt, i+1)
		}
		if !sourcedb.Readable(code) {
			return nil, nil, fmt.Errorf("%s: row %d has blanks around the code of its subject, or characters in it that do not show", codesAt, i+1)
		}
		if seen[code] {
			return nil, nil, fmt.Errorf("%s: row %d repeats a subject", codesAt, i+1)
		}
		seen[code] = true
	}
	if v, err = at(node, labelsAt); err != nil {
		return nil, nil, err
	}
	classes, err := pickle.Ints(v)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", labelsAt, err)
	}
	if len(classes) != len(codes) {
		return nil, nil, fmt.Errorf("%s has %d rows and %s has %d", codesAt, len(codes), labelsAt, len(classes))
	}
	outcomes := make([]int, len(classes))
	for i, class := range classes {
		if outcomes[i], err = outcome(class); err != nil {
			return nil, nil, fmt.Errorf("%s: row %d: %w", labelsAt, i+1, err)
		}
	}
	return codes, outcomes, nil
}

// check compares the subjects with the predictions that they belong to.
func (who *persons) check(p *predictions) error {
	if len(who.test) != len(p.outcomes) {
		return fmt.Errorf("predictions for %d subjects, but %d are named", len(p.outcomes), len(who.test))
	}
	differ := 0
	for i, y := range p.outcomes {
		if y != who.testOutcomes[i] {
			differ++
		}
	}
	if differ > 0 {
		return fmt.Errorf("%d of %d subjects have another label in the predictions than in the list of subjects", differ, len(p.outcomes))
	}
	both := 0
	for _, code := range who.train {
		if slices.Contains(who.test, code) {
			both++
		}
	}
	if both > 0 {
		return fmt.Errorf("%d subjects are in both the training and the test set", both)
	}
	return nil
}

// scalarNames are the measures that the training code computes in every refit.
// Other keys are not read: they could be anything.
var scalarNames = []string{
	"AUROC", "AUPR", "F1", "sensitivity", "specificity", "PPV", "NPV", "accuracy", "accuracy_balanced",
	"PPV_prev", "NPV_prev", "tpAUC", "Brier", "ECE",
}

// requiredScalars are those that a published row cannot do without.
var requiredScalars = []string{"AUROC", "Brier"}

func readScalars(root any, refits int) (map[string]Scalar, error) {
	const statsAt, iterAt = "metrics_stats/test/metrics/scalars/", "metrics_iter/test/metrics/scalars/"
	scalars := map[string]Scalar{}
	for _, name := range scalarNames {
		stats, err := optional(root, statsAt+name)
		if err != nil {
			return nil, err
		}
		if stats != nil {
			if scalars[name], err = pickledScalar(stats); err != nil {
				return nil, fmt.Errorf("%s: %w", statsAt+name, err)
			}
			continue
		}
		iter, err := optional(root, iterAt+name)
		if err != nil {
			return nil, err
		}
		if iter != nil {
			if scalars[name], err = summariseRefits(iter, refits); err != nil {
				return nil, fmt.Errorf("%s: %w", iterAt+name, err)
			}
		}
	}
	for _, name := range requiredScalars {
		if _, ok := scalars[name]; !ok {
			return nil, fmt.Errorf("neither %s nor %s is there", statsAt+name, iterAt+name)
		}
	}
	return scalars, nil
}

func pickledScalar(v any) (Scalar, error) {
	field, err := at(v, "n")
	if err != nil {
		return Scalar{}, err
	}
	n, err := pickle.Int(field)
	if err != nil {
		return Scalar{}, fmt.Errorf("n: %w", err)
	}
	limits, err := floats(v, "ci")
	if err != nil {
		return Scalar{}, err
	}
	if len(limits) != 2 {
		return Scalar{}, fmt.Errorf("ci has %d numbers, not 2", len(limits))
	}
	numbers := limits
	for _, key := range []string{"mean", "std"} {
		if field, err = at(v, key); err != nil {
			return Scalar{}, err
		}
		x, err := pickle.Float(field)
		if err != nil {
			return Scalar{}, fmt.Errorf("%s: %w", key, err)
		}
		numbers = append(numbers, x)
	}
	for _, x := range numbers {
		if math.IsInf(x, 0) {
			return Scalar{}, errInfinite
		}
	}
	return Scalar{N: n, Lower: finite(numbers[0]), Upper: finite(numbers[1]), Mean: finite(numbers[2]), SD: finite(numbers[3])}, nil
}

// summariseRefits does what the training code does when it is not interrupted:
// NaN skipped, n the number of all refits, no range for values without
// variation.
func summariseRefits(v any, refits int) (Scalar, error) {
	all, err := pickle.Floats(v)
	if err != nil {
		return Scalar{}, err
	}
	if len(all) != refits {
		return Scalar{}, fmt.Errorf("%d values for %d refits", len(all), refits)
	}
	var values []float64
	for i, x := range all {
		if math.IsInf(x, 0) {
			return Scalar{}, fmt.Errorf("refit %d: %w", i+1, errInfinite)
		}
		if !math.IsNaN(x) {
			values = append(values, x)
		}
	}
	return summarise(values, len(all)), nil
}

// summarise makes of the values of n refits, those that are defined, what the
// training code does.
func summarise(values []float64, n int) Scalar {
	s := Scalar{N: n}
	if len(values) == 0 {
		return s
	}
	resample.Sort(values)
	mean, sd := stat.PopMeanStdDev(values, nil)
	if values[0] == values[len(values)-1] {
		mean, sd = values[0], 0
	}
	s.Mean, s.SD = &mean, &sd
	if sd > 0 {
		s.Lower, s.Upper = finite(resample.Quantile(values, 0.025)), finite(resample.Quantile(values, 0.975))
	}
	return s
}

var errInfinite = errors.New("a number is infinite")

// readCalibration reads the curve that the reference tabulated: its mean over
// refits, NaN where one refit is NaN.
func readCalibration(root any, refits int) (PickledCalibration, error) {
	grid, err := calibrationPart(root, "prob_pred", refits)
	if err != nil {
		return PickledCalibration{}, err
	}
	observed, err := calibrationPart(root, "prob_true", refits)
	if err != nil {
		return PickledCalibration{}, err
	}
	if len(grid) != len(observed) {
		return PickledCalibration{}, fmt.Errorf("the calibration curve has %d grid points and %d proportions", len(grid), len(observed))
	}
	return PickledCalibration{Grid: grid, Observed: observed}, nil
}

func calibrationPart(root any, name string, refits int) ([]*float64, error) {
	statsAt := "metrics_stats/test/metrics/arrays/calibration_curve/" + name + "/mean"
	iterAt := "metrics_iter/test/metrics/arrays/calibration_curve/" + name
	var values []float64
	stats, err := optional(root, statsAt)
	if err != nil {
		return nil, err
	}
	if stats != nil {
		values, err = pickle.Floats(stats)
	} else {
		values, err = rowMeans(root, iterAt, refits)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", statsAt, err)
	}
	numbers := make([]*float64, len(values))
	for i, x := range values {
		if math.IsInf(x, 0) {
			return nil, fmt.Errorf("%s: %w", statsAt, errInfinite)
		}
		numbers[i] = finite(x)
	}
	return numbers, nil
}

// rowMeans is nil where the array is missing.
func rowMeans(root any, where string, refits int) ([]float64, error) {
	v, err := optional(root, where)
	if err != nil || v == nil {
		return nil, err
	}
	array, err := pickle.AsArray(v)
	if err != nil {
		return nil, err
	}
	if len(array.Shape) != 2 || array.Shape[1] != refits {
		return nil, fmt.Errorf("the shape is %v; it must be points by %d refits", array.Shape, refits)
	}
	values, err := array.Floats()
	if err != nil {
		return nil, err
	}
	means := make([]float64, array.Shape[0])
	for i := range means {
		means[i] = stat.Mean(values[i*refits:(i+1)*refits], nil)
	}
	return means, nil
}

// at follows a slash path.
func at(node any, where string) (any, error) {
	return pickle.At(node, strings.Split(where, "/")...)
}

// optional is nil where a slash path ends at None or at a missing key. Anything
// but a dictionary on the way is an error: the pickle is of another layout.
func optional(node any, where string) (any, error) {
	for part := range strings.SplitSeq(where, "/") {
		if node == nil {
			return nil, nil
		}
		dict, err := pickle.Dict(node)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		node, _ = dict.Get(part)
	}
	return node, nil
}

// floats are the numbers of an array or list.
func floats(node any, where string) ([]float64, error) {
	v, err := at(node, where)
	if err != nil {
		return nil, err
	}
	values, err := pickle.Floats(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return values, nil
}
