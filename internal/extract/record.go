// Package extract turns a tracking store into private data: an index of runs, one
// record for each metrics pickle, and with a source database the list of
// subjects. It decides which runs count and checks what it reads; what it gives
// still carries original subject codes. It knows neither the public codes nor the
// public database.
package extract

// IndexFormat and RecordFormat version the private files of a build. The
// latter is published, too, as the version of what read a pickle: it is raised
// when the same pickle gives other numbers.
const (
	IndexFormat  = "plr.index/4"
	RecordFormat = "plr.run/3"
)

// Verdict says what becomes of a run of the tracking store.
type Verdict string

// Verdicts, in the order in which they are tested (data model, input 1).
// Unfinished and Unreadable can only be found by reading the pickle.
const (
	Used              Verdict = "used"
	BadMeta           Verdict = "bad_meta"
	NotClassification Verdict = "not_classification"
	Excluded          Verdict = "excluded"
	Deleted           Verdict = "deleted"
	Failed            Verdict = "failed"
	Superseded        Verdict = "superseded"
	NoArtifact        Verdict = "no_artifact"
	AmbiguousArtifact Verdict = "ambiguous_artifact"
	Unfinished        Verdict = "unfinished"
	Unreadable        Verdict = "unreadable"
)

// Configuration is the factor tuple of a run, in the registry's spelling.
type Configuration struct {
	Classifier    string `json:"classifier"`
	Featurization string `json:"featurization"`
	Outlier       string `json:"outlier"`
	Imputation    string `json:"imputation"`
}

// Index is what a tracking store holds, decided from metadata and listings.
// It is private: names and reasons are free text of the store.
type Index struct {
	Format     string       `json:"format"`
	Experiment string       `json:"experiment"` // id
	Synthetic  bool         `json:"synthetic"`  // the experiment carries plr.synthetic = true
	Runs       []IndexedRun `json:"runs"`       // every run of the experiment, by run id

	// From says, by run id, which runs of the stages before it a used run names. It
	// stands beside the runs so that a change of it lets no pickle be read anew.
	From map[string]References `json:"from"`

	// Base is the directory on this machine that the artifacts lie below, but for those
	// of a file store that lie in a place outside it; "" if they are on a server or no
	// run has any. It is no part of the file.
	Base string `json:"-"`
}

// IndexedRun is one run. Only runs with the verdict Used have an
// Artifact and get a step of their own.
type IndexedRun struct {
	RunID         string        `json:"run_id"`
	Name          string        `json:"name"`
	Verdict       Verdict       `json:"verdict"`
	Reason        string        `json:"reason"` // from a closed list; holds no free text of the store
	Detail        string        `json:"detail"` // free text for the private log; may name files and values
	Configuration Configuration `json:"configuration"`
	Artifact      string        `json:"artifact,omitempty"` // slash path of the pickle below the index's Base, or in its Place
	Place         int           `json:"place,omitempty"`    // which of the places that a file store was opened with, from 1; 0: the Base
	Registered    bool          `json:"registered"`         // its name, and so that of its pickle, is made of names of the registry
	// Flaw, from the same list, is why a superseded run could not be used either
	// if those were left out that took its place and cannot be.
	Flaw   string  `json:"flaw,omitempty"`
	Open   bool    `json:"open,omitempty"`   // RUNNING or SCHEDULED: usable if the pickle is complete
	Remote *Remote `json:"remote,omitempty"` // what a server is asked for; nil where artifacts are files
}

// Remote is what a run has on a tracking server. Version, size and end stand for
// what the files hold, as they are not read to know whether they changed.
type Remote struct {
	End         int64       `json:"end"` // of the run, Unix time in milliseconds
	ArtifactURI string      `json:"artifact_uri"`
	Pickle      RemoteFile  `json:"pickle"`
	Codes       *RemoteFile `json:"codes,omitempty"` // see [CodesArtifact]
}

// RemoteFile is a file among the artifacts of a run on a server.
type RemoteFile struct {
	Name    string `json:"name"`              // slash path below the run's artifacts
	Size    int64  `json:"size"`              // bytes, -1 if the server does not say
	Version string `json:"version,omitempty"` // see [mlflow.Store.Version]
}

// Record is what one pickle gave. It is private: it holds original subject codes.
type Record struct {
	Head `json:"-"` // written before the rest

	Artifact   Artifact    `json:"artifact"`
	Risks      []float64   `json:"risks"`                 // mean risk over refits, like Subjects
	Spreads    []Spread    `json:"spreads"`               // of the risks over refits, like Subjects
	RefitRisks [][]float64 `json:"refit_risks,omitempty"` // [refit][subject], where they are asked for
	RiskType   string      `json:"risk_type"`             // float64 or float32, as the classifier predicts

	Scalars     map[string]Scalar  `json:"scalars"`     // the pickle's own summaries over refits, by its names (AUROC, Brier, …)
	Calibration PickledCalibration `json:"calibration"` // the pickle's own curve

	Measures []Measure    `json:"measures"`
	Paired   Paired       `json:"paired"`
	ROC      []ROCPoint   `json:"roc"`
	Bins     []Bin        `json:"bins"`
	Decision []NetBenefit `json:"decision"`
	Joint    Joint        `json:"joint"`
	Checks   []Check      `json:"checks"`
}

// Head is what must be known of all records before one of them is published: whose
// it is, of which configuration, and who is in it. It is a small part of a record,
// as private, and read without the rest.
type Head struct {
	Format        string        `json:"format"`
	RunID         string        `json:"run_id"`
	Configuration Configuration `json:"configuration"`
	Verdict       Verdict       `json:"verdict"` // Used, or Unfinished for an open run without a readable pickle
	Reason        string        `json:"reason"`
	Subjects      []string      `json:"subjects"` // original codes of the test set, in the pickle's order
	Outcomes      []int         `json:"outcomes"` // 0 control, 1 event, like Subjects
	Train         []string      `json:"train"`    // original codes of the training set
	TrainOutcomes []int         `json:"train_outcomes"`
	Refits        int           `json:"refits"`
}

// Records are the records of all runs, of which nobody can hold all at once: those of
// 20,000 runs take gigabytes. Each can be read as often as it is needed, by several
// goroutines at a time.
type Records interface {
	Len() int
	Head(i int) (*Head, error)
	Record(i int) (*Record, error)
}

// Artifact says which file a record was read from.
type Artifact struct {
	BLAKE3 string `json:"blake3"` // hexadecimal digest of its bytes
	Bytes  int64  `json:"bytes"`
}

// RiskQuantiles are the probabilities at which a Spread has quantiles.
var RiskQuantiles = []float64{0.025, 0.25, 0.5, 0.75, 0.975}

// Spread is how the risk of one subject differs between refits.
type Spread struct {
	Quantiles []float64 `json:"quantiles"` // type 7, at RiskQuantiles
	SD        *float64  `json:"sd"`        // divisor n; nil for a single refit
}

// Scalar is a pickle's summary of one measure over refits: NaN replicates
// skipped, standard deviation with ddof 0, 2.5 and 97.5 % quantiles. A nil
// number was NaN.
type Scalar struct {
	N     int      `json:"n"`
	Mean  *float64 `json:"mean"`
	SD    *float64 `json:"sd"`
	Lower *float64 `json:"lower"`
	Upper *float64 `json:"upper"`
}

// PickledCalibration is the mean curve over refits that the reference
// tabulated; a nil number was NaN.
type PickledCalibration struct {
	Grid     []*float64 `json:"grid"`     // prob_pred: the fixed grid
	Observed []*float64 `json:"observed"` // prob_true
}

// Measure is one row of the public table stratos_metrics, without its configuration.
type Measure struct {
	Estimand    string   `json:"estimand"` // over_models or mean_risk
	Measure     string   `json:"measure"`  // a key of metrics.RefitTable: auroc, nb@0.05, …
	Estimate    *float64 `json:"estimate"`
	Infinite    int      `json:"infinite,omitempty"` // +1 or -1 where the estimate is a true infinity (Estimate is nil then: JSON has none)
	Undefined   string   `json:"undefined,omitempty"`
	Lower       *float64 `json:"ci_lower"`
	Upper       *float64 `json:"ci_upper"`
	Method      string   `json:"ci_method"` // or not_available
	Level       float64  `json:"ci_level"`
	SpreadLower *float64 `json:"spread_lower"`
	SpreadUpper *float64 `json:"spread_upper"`
	SpreadSD    *float64 `json:"spread_sd"`
	NUndefined  int      `json:"n_undefined"`
	Domain      string   `json:"domain"`
	Tier        string   `json:"tier"`
	N           int      `json:"n"`
	Events      int      `json:"n_events"`
	Note        string   `json:"note"`
}

// ROCPoint is one vertex of the ROC curve of the mean risk, thresholds
// descending; the first has no threshold (+Inf).
type ROCPoint struct {
	Threshold *float64 `json:"threshold"`
	FPR       float64  `json:"fpr"`
	TPR       float64  `json:"tpr"`
}

// Bin is one group of the calibration curve of the mean risk.
type Bin struct {
	Lower     float64  `json:"lower"`
	Upper     float64  `json:"upper"`
	Predicted *float64 `json:"predicted"` // mean risk; nil when the bin is empty
	Observed  *float64 `json:"observed"`
	N         int      `json:"n"`
	Events    int      `json:"events"`
}

// NetBenefit is one threshold of the decision curve of the mean risk.
type NetBenefit struct {
	Threshold   float64  `json:"threshold"`
	Model       float64  `json:"model"`
	All         float64  `json:"all"` // treat all, not capped at 0
	Sensitivity *float64 `json:"sensitivity"`
	Specificity *float64 `json:"specificity"`
}

// Joint is the logistic recalibration of the mean risk with both coefficients
// free: what the reference publishes as calibration slope and intercept.
type Joint struct {
	Slope     *float64 `json:"slope"`
	Intercept *float64 `json:"intercept"`
	Undefined string   `json:"undefined,omitempty"`
}

// Check compares a number of the pickle with the same number recomputed from
// its predictions.
type Check struct {
	Name      string   `json:"name"`
	Expected  *float64 `json:"expected"` // what the pickle says
	Found     *float64 `json:"found"`
	Tolerance float64  `json:"tolerance"`
	OK        bool     `json:"ok"`
}
