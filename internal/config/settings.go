package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// Studies.
const (
	Example = "example" // the bundled synthetic store
	Own     = "own"
)

// Estimands: what figures and tables show of a measure.
const (
	OverModels = "over_models" // averaged over the refitted models
	MeanRisk   = "mean_risk"   // of the mean risk of all refits
)

// Where things lie below the workspace or below a study's results.
const (
	defaultsFile   = "configs/defaults.yaml"
	methodsFile    = "configs/registry.yaml"
	publicFile     = "data/public/foundation_plr_results.db"
	privateDir     = "data/private"
	exampleStore   = "data/synthetic/store/example/mlruns"
	exampleSource  = "data/synthetic/store/example/SERI_PLR_GLAUCOMA.db"
	exampleResults = "data/synthetic/results"
)

// ExcludedRun is a run that the study leaves out.
type ExcludedRun struct {
	Run    string `yaml:"run"`    // id or name
	Reason string `yaml:"reason"` // private: free text
}

// Settings are what a build is told. Paths are absolute.
type Settings struct {
	Study    string // Example or Own
	StudyWhy string // a sentence that names the study and why, for the first line of output

	ConfigPath   string // the settings file
	RegistryPath string

	TrackingURI string // as given; "" for the example and when there is none
	StorePath   string // the directory of a file store; "" for other stores and when Store gives an error
	Experiment  string // id or name; "" means the only one with classification runs

	// ArtifactRoot is where artifacts of the runs of a file store or a SQLite store lie
	// that are not where the store says; "" if there is no such place.
	ArtifactRoot string

	SourceDB   string // "" if there is none
	PublicDB   string
	PrivateDir string
	Results    string // the directory below which data/, figures/generated and outputs/latex of this study lie

	// Runs are globs of ids or names of the runs that a part is extracted of; none
	// means all.
	Runs         []string
	Exclude      []ExcludedRun
	DemoSubjects []string  // public codes; empty means by rule
	Estimand     string    // OverModels or MeanRisk
	Thresholds   []float64 // of classification and net benefit, ascending, inside (0, 1)
	MID          float64   // the least difference of the AUROC that matters, inside (0, 1)

	SubjectTables  bool // the public database holds risks of single subjects
	RoundRisks     int  // decimals of them; 0: all
	BootstrapRisks bool // it holds the risks of every refit, too

	Flows Flows // of the study that a build takes part in

	Jobs        int      // steps at a time, at least 1
	MemoryBytes int64    // what open pickles may take together
	Force       []string // globs of the steps to run although they are fresh; "*" is all
	DryRun      bool     // say what would run, and do nothing
	FailFast    bool     // start nothing after the first failure
	Frozen      bool     // fail when results are not those of pipeline.lock, which stays as it is
	NoWait      bool     // fail when another build holds the workspace
	Audit       bool     // hold what steps open against what they declare
	NoColor     bool     // whatever NO_COLOR holds, as its convention says
	LogFormat   string   // "json", or "" for text

	store    mlflow.Location
	storeErr error
}

// file is configs/defaults.yaml.
type file struct {
	Study  string `yaml:"STUDY"`
	MLflow struct {
		TrackingURI  string `yaml:"TRACKING_URI"`
		Experiment   string `yaml:"EXPERIMENT"`
		ArtifactRoot string `yaml:"ARTIFACT_ROOT"`
	} `yaml:"MLFLOW"`
	Paths struct {
		SourceDB   string `yaml:"SOURCE_DB"`
		PublicDB   string `yaml:"PUBLIC_DB"`
		PrivateDir string `yaml:"PRIVATE_DIR"`
	} `yaml:"PATHS"`
	Extraction struct {
		Runs         []string      `yaml:"runs"`
		ExcludeRuns  []ExcludedRun `yaml:"exclude_runs"`
		DemoSubjects []string      `yaml:"demo_subjects"`
	} `yaml:"EXTRACTION"`
	Analysis struct {
		Estimand   string    `yaml:"ESTIMAND"`
		Thresholds []float64 `yaml:"THRESHOLDS"`
		MID        float64   `yaml:"MID"`
	} `yaml:"ANALYSIS"`
	Privacy struct {
		SubjectTables  bool `yaml:"SUBJECT_TABLES"`
		RoundRisks     int  `yaml:"ROUND_RISKS"`
		BootstrapRisks bool `yaml:"BOOTSTRAP_RISKS"`
	} `yaml:"PRIVACY"`
	Prefect flowsFile `yaml:"PREFECT"`
	Build   struct {
		Jobs   int    `yaml:"JOBS"`
		Memory string `yaml:"MEMORY"`
	} `yaml:"BUILD"`
}

// builtin is what holds where a settings file says nothing.
func builtin() file {
	var f file
	f.Analysis.Estimand = OverModels
	f.Analysis.Thresholds = requiredThresholds()
	f.Analysis.MID = defaultMID
	f.Privacy.SubjectTables = true
	f.Prefect = allFlows()
	f.Build.Memory = "512MiB"
	return f
}

// requiredThresholds have columns in the public database (net_benefit_5pct, …)
// and stand in the tables.
func requiredThresholds() []float64 { return []float64{0.05, 0.10, 0.15, 0.20} }

// defaultMID is the least difference of the AUROC that is taken to matter where a
// study does not say another.
const defaultMID = 0.05

// maxRoundRisks is how many decimals are still a rounding: more would tell the
// subjects of a pickle apart as well as all of them.
const maxRoundRisks = 6

// minMemory is less than what one pickle of the study needs while it is read.
const minMemory = 64 << 20

// Load reads the settings file of the workspace and lets the environment, asked
// through getenv, win. Errors name the file or variable, what is wrong and what
// is accepted. Nothing is created, and no store is opened: a tracking URI that
// cannot be read is Store's error, because an analysis needs no store.
func Load(workspace string, getenv func(string) string) (*Settings, error) {
	workspace, err := filepath.Abs(workspace)
	if err != nil {
		return nil, fmt.Errorf("workspace: %w", err)
	}
	below := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(workspace, filepath.FromSlash(path))
	}
	s := &Settings{
		ConfigPath:   below(first(getenv("PLR_CONFIG"), defaultsFile)),
		RegistryPath: below(methodsFile),
	}
	f := builtin()
	if err := readStrict(s.ConfigPath, &f); err != nil {
		return nil, err
	}
	uri := first(getenv("MLFLOW_TRACKING_URI"), f.MLflow.TrackingURI)
	source := first(getenv("PLR_SOURCE_DB"), f.Paths.SourceDB)
	public := first(getenv("PLR_PUBLIC_DB"), f.Paths.PublicDB)
	private := first(getenv("PLR_PRIVATE_DIR"), f.Paths.PrivateDir)

	if err := s.chooseStudy(f, getenv, uri, below(first(public, publicFile))); err != nil {
		return nil, err
	}
	switch s.Study {
	case Example:
		// Nothing of one's own study enters: a PLR_PRIVATE_DIR that stands in
		// the shell for good must not receive the example's subjects.
		s.StorePath = below(exampleStore)
		s.store = mlflow.Location{Kind: mlflow.Directory, Path: s.StorePath}
		s.SourceDB = below(exampleSource)
		s.Results = below(exampleResults)
		s.PublicDB = filepath.Join(s.Results, filepath.FromSlash(publicFile))
		s.PrivateDir = filepath.Join(s.Results, filepath.FromSlash(privateDir))
	case Own:
		s.TrackingURI = uri
		s.Experiment = f.MLflow.Experiment
		s.SourceDB = below(source)
		s.Results = workspace
		s.PublicDB = below(first(public, publicFile))
		s.PrivateDir = below(first(private, privateDir))
		s.Exclude = f.Extraction.ExcludeRuns
		s.DemoSubjects = f.Extraction.DemoSubjects
		s.ArtifactRoot = below(first(getenv("PLR_ARTIFACT_ROOT"), f.MLflow.ArtifactRoot))
		s.store, s.storeErr = s.locate(uri, below)
		if s.store.Kind == mlflow.Directory {
			s.StorePath = s.store.Path
		}
	}
	s.Runs = f.Extraction.Runs
	if env := getenv("RUNS"); env != "" {
		s.Runs = strings.Fields(env)
	} else if s.Study == Example {
		s.Runs = nil
	}
	s.Estimand = f.Analysis.Estimand
	s.Thresholds, s.MID = f.Analysis.Thresholds, f.Analysis.MID
	s.SubjectTables, s.RoundRisks, s.BootstrapRisks = f.Privacy.SubjectTables, f.Privacy.RoundRisks, f.Privacy.BootstrapRisks
	if s.Flows, err = f.Prefect.flows(s.Study, s.Experiment); err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ConfigPath, err)
	}
	if err := s.checkPlaces(workspace); err != nil {
		return nil, err
	}
	return s, s.build(f, getenv)
}

// Store returns where the tracking store is, paths absolute, or why there is
// none. Whether it exists and is a store says mlflow.Open.
func (s *Settings) Store() (mlflow.Location, error) { return s.store, s.storeErr }

func (s *Settings) locate(uri string, below func(string) string) (mlflow.Location, error) {
	if uri == "" {
		return mlflow.Location{}, fmt.Errorf("no tracking store is configured: set MLFLOW_TRACKING_URI, or MLFLOW.TRACKING_URI in %s; %s", s.ConfigPath, mlflow.Accepted)
	}
	l, err := mlflow.ParseURI(uri)
	if err != nil {
		return mlflow.Location{}, err
	}
	if l.Path != "" {
		l.Path = filepath.Clean(below(l.Path))
	}
	if s.ArtifactRoot != "" && l.Kind == mlflow.Server {
		return mlflow.Location{}, fmt.Errorf("PLR_ARTIFACT_ROOT (MLFLOW.ARTIFACT_ROOT) is for file stores and SQLite stores, and the tracking store is %s, through which its artifacts come: unset it", l)
	}
	return l, nil
}

// chooseStudy follows the rule of the design: what STUDY says, else own when a
// tracking store is configured or the public database exists, else example.
func (s *Settings) chooseStudy(f file, getenv func(string) string, uri, public string) error {
	said, by := getenv("STUDY"), "STUDY"
	if said == "" {
		said, by = f.Study, "STUDY in "+filepath.Base(s.ConfigPath)
	}
	switch said {
	case Own, Example:
		s.Study = said
		s.StudyWhy = fmt.Sprintf("Study: %s, because %s says so", said, by)
	case "":
		_, err := os.Stat(public)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for the public database: %w", err)
		}
		s.Study = Own
		switch {
		case getenv("MLFLOW_TRACKING_URI") != "":
			s.StudyWhy = "Study: own, because MLFLOW_TRACKING_URI is set"
		case uri != "":
			s.StudyWhy = "Study: own, because " + filepath.Base(s.ConfigPath) + " names a tracking store"
		case getenv("PLR_PUBLIC_DB") != "":
			// Also when it does not exist: a misspelt one must be said, not
			// answered with the example.
			s.StudyWhy = "Study: own, because PLR_PUBLIC_DB is set"
		case f.Paths.PublicDB != "":
			s.StudyWhy = "Study: own, because " + filepath.Base(s.ConfigPath) + " names a public database"
		case err == nil:
			s.StudyWhy = "Study: own, because its public database exists"
		default:
			s.Study = Example
			s.StudyWhy = "Study: example (synthetic), because no tracking store is configured and there is no " + publicFile +
				"; set MLFLOW_TRACKING_URI for your own"
		}
	default:
		return fmt.Errorf("%s is %q; accepted are own, example and nothing", by, said)
	}
	if s.Study == Example {
		var unused []string
		for _, name := range []string{"MLFLOW_TRACKING_URI", "PLR_ARTIFACT_ROOT", "PLR_SOURCE_DB", "PLR_PUBLIC_DB", "PLR_PRIVATE_DIR"} {
			if getenv(name) != "" {
				unused = append(unused, name)
			}
		}
		if len(unused) > 0 {
			s.StudyWhy += "; not used for the example: " + strings.Join(unused, ", ")
		}
	}
	s.StudyWhy += "."
	return nil
}

// publicCode is what demo_subjects may hold.
var publicCode = regexp.MustCompile(`^[HG][0-9]{3,}$`)

func (s *Settings) check() error {
	if s.Estimand != OverModels && s.Estimand != MeanRisk {
		return fmt.Errorf("ANALYSIS.ESTIMAND is %q; accepted are %s and %s", s.Estimand, OverModels, MeanRisk)
	}
	for i, t := range s.Thresholds {
		if !(t > 0 && t < 1) || i > 0 && t <= s.Thresholds[i-1] {
			return fmt.Errorf("ANALYSIS.THRESHOLDS: entry %d is %v; thresholds must ascend and lie between 0 and 1", i+1, t)
		}
	}
	for _, t := range requiredThresholds() {
		if !slices.Contains(s.Thresholds, t) {
			return fmt.Errorf("ANALYSIS.THRESHOLDS lacks %v, which has a column and tables of its own", t)
		}
	}
	if !(s.MID > 0 && s.MID < 1) {
		return fmt.Errorf("ANALYSIS.MID is %v; the least difference of the AUROC that matters lies between 0 and 1", s.MID)
	}
	if s.RoundRisks < 0 || s.RoundRisks > maxRoundRisks {
		return fmt.Errorf("PRIVACY.ROUND_RISKS is %d; accepted are 1 to %d decimals, and 0 for all", s.RoundRisks, maxRoundRisks)
	}
	if s.BootstrapRisks && !s.SubjectTables {
		return errors.New("PRIVACY.BOOTSTRAP_RISKS is true and PRIVACY.SUBJECT_TABLES is false: the risks of every refit are risks of single subjects")
	}
	for i, pattern := range s.Runs {
		if pattern == "" || !doublestar.ValidatePattern(pattern) {
			return fmt.Errorf("RUNS (EXTRACTION.runs): entry %d, %q, is not a valid pattern of ids or names of runs", i+1, pattern)
		}
	}
	for i, e := range s.Exclude {
		if e.Run == "" || e.Reason == "" {
			return fmt.Errorf("EXTRACTION.exclude_runs: entry %d needs a run (id or name) and a reason", i+1)
		}
		if j := slices.IndexFunc(s.Exclude, func(o ExcludedRun) bool { return o.Run == e.Run }); j != i {
			return fmt.Errorf("EXTRACTION.exclude_runs: entries %d and %d name the same run", j+1, i+1)
		}
	}
	for i, code := range s.DemoSubjects {
		if !publicCode.MatchString(code) {
			// What stands there may be an original code: it is not repeated.
			return fmt.Errorf("EXTRACTION.demo_subjects: entry %d is no public code such as H012 or G003", i+1)
		}
		if slices.Contains(s.DemoSubjects[:i], code) {
			return fmt.Errorf("EXTRACTION.demo_subjects: %s stands there twice", code)
		}
	}
	return nil
}

// checkPlaces refuses places that would write into what is only read, or mix
// private and public files.
func (s *Settings) checkPlaces(workspace string) error {
	private := "the private directory (PLR_PRIVATE_DIR)"
	switch {
	case within(workspace, s.PrivateDir), within(s.Results, s.PrivateDir):
		return fmt.Errorf("%s is %s, which holds the workspace; give a directory of its own", private, s.PrivateDir)
	case within(s.PublicDB, s.PrivateDir):
		return fmt.Errorf("the public database (PLR_PUBLIC_DB) is %s, inside %s", s.PublicDB, private)
	case s.SourceDB != "" && s.PublicDB == s.SourceDB:
		return fmt.Errorf("the public database (PLR_PUBLIC_DB) and the source database (PLR_SOURCE_DB) are both %s", s.PublicDB)
	}
	if public := s.among(s.PrivateDir); public != "" {
		return fmt.Errorf("%s is %s, among the public files of %s", private, s.PrivateDir, public)
	}
	if s.StorePath != "" && (within(s.PrivateDir, s.StorePath) || within(s.PublicDB, s.StorePath)) {
		return fmt.Errorf("%s or the public database (PLR_PUBLIC_DB) lies inside the tracking store %s, which is only read", private, s.StorePath)
	}
	return nil
}

// among is the directory of public files that a path lies in; "" is none.
func (s *Settings) among(path string) string {
	for _, public := range []string{"data/public", "figures", "outputs", "configs", ".cache"} {
		if within(path, filepath.Join(s.Results, filepath.FromSlash(public))) {
			return public
		}
	}
	return ""
}

// CheckArtifacts refuses a directory of artifacts that holds what a build writes, or
// lies among it: all below such a directory is private and only read.
func (s *Settings) CheckArtifacts(dir string) error {
	for _, written := range []string{s.Results, filepath.Dir(s.PublicDB), s.PrivateDir} {
		if within(written, dir) {
			return fmt.Errorf("it holds %s, where a build writes", written)
		}
	}
	if within(dir, s.PrivateDir) {
		return fmt.Errorf("it lies in the private directory %s, where a build writes", s.PrivateDir)
	}
	if public := s.among(dir); public != "" {
		return fmt.Errorf("it lies among the public files of %s", public)
	}
	return nil
}

// within reports whether path is dir or lies below it, by name or, where links
// lead, in fact.
func within(path, dir string) bool {
	for _, real := range []func(string) string{func(s string) string { return s }, real} {
		if rel, err := filepath.Rel(real(dir), real(path)); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// real follows the links of a path as far as it exists.
func real(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(real(parent), filepath.Base(path))
}

// build fills what changes how a build runs, and no result.
func (s *Settings) build(f file, getenv func(string) string) error {
	s.Jobs = f.Build.Jobs
	if env := getenv("JOBS"); env != "" {
		n, err := strconv.Atoi(env)
		if err != nil || n < 1 {
			return fmt.Errorf("JOBS is %q; accepted is a whole number from 1", env)
		}
		s.Jobs = n
	}
	switch {
	case s.Jobs < 0:
		return fmt.Errorf("%s: BUILD.JOBS is %d; accepted is a whole number from 0", s.ConfigPath, s.Jobs)
	case s.Jobs == 0:
		s.Jobs = runtime.GOMAXPROCS(0)
	}
	var err error
	if s.MemoryBytes, err = ParseSize(f.Build.Memory); err != nil {
		return fmt.Errorf("%s: BUILD.MEMORY is %q: %w", s.ConfigPath, f.Build.Memory, err)
	}
	if s.MemoryBytes < minMemory {
		return fmt.Errorf("%s: BUILD.MEMORY is %q; no pickle could be read with less than 64MiB", s.ConfigPath, f.Build.Memory)
	}
	for name, on := range map[string]*bool{"DRY_RUN": &s.DryRun, "FAIL_FAST": &s.FailFast, "NOWAIT": &s.NoWait, "FROZEN": &s.Frozen, "AUDIT": &s.Audit} {
		if *on, err = parseSwitch(getenv(name)); err != nil {
			return fmt.Errorf("%s is %q: %w", name, getenv(name), err)
		}
	}
	s.NoColor = getenv("NO_COLOR") != ""
	if s.LogFormat = getenv("LOG_FORMAT"); s.LogFormat != "" && s.LogFormat != "json" && s.LogFormat != "text" {
		return fmt.Errorf("LOG_FORMAT is %q; accepted are json and text", s.LogFormat)
	}
	force := getenv("FORCE")
	if all, err := parseSwitch(force); err != nil {
		s.Force = strings.FieldsFunc(force, func(r rune) bool { return r == ',' || r == ' ' })
	} else if all {
		s.Force = []string{"*"}
	}
	return nil
}

func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "", "0", "false", "no", "off":
		return false, nil
	case "1", "true", "yes", "on":
		return true, nil
	}
	return false, errors.New("accepted are 1 and 0")
}

// size is a number with a unit, decimal (MB) or binary (MiB).
var size = regexp.MustCompile(`^([0-9]{1,9})(?:([KMG])(i?)B|B)?$`)

// ParseSize reads a number of bytes, such as 2GB.
func ParseSize(text string) (int64, error) {
	m := size.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("accepted is a whole number with KB, MB, GB, KiB, MiB or GiB")
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return 0, err
	}
	base := int64(1000)
	if m[3] != "" {
		base = 1024
	}
	for range map[string]int{"K": 1, "M": 2, "G": 3}[m[2]] {
		n *= base
	}
	return n, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
