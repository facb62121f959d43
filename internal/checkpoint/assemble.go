// Package checkpoint makes the rows of the public database, the one place where what is
// private becomes public: [Assemble] puts codes in the place of subjects.
//
// It does not compute measures, does not decide which runs are used and does not know
// how codes are assigned, nor how rows get into a file.
package checkpoint

import (
	"fmt"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/metrics"
)

// AssembleOptions is what a checkpoint says beyond the runs themselves.
type AssembleOptions struct {
	// Published gives what stands for a name of a factor that the registry lacks:
	// unregistered-1, …, for ever the same. It is needed where there are such names.
	Published func(factor, name string) (string, bool)
	// KeyedDigest gives what is published in the place of an artifact's digest.
	KeyedDigest func(digest string) (string, error)
	Estimand    string  // that of figures and tables: over_models or mean_risk
	Margin      float64 // the least difference of the AUROC that matters, in (0, 1)
	Unlabelled  int     // subjects without a label, who have no code
	Privacy     disclosure.Privacy
	Upstream    *extract.Upstream // of the flows before classification that are on; nil: none
	Settings    map[string]string // published under settings.<key>; must hold nothing private
}

// Assemble makes the contents of a checkpoint from what the pickles gave. code
// maps original subject codes to published ones. The order of the records and
// that of the subjects within a record do not matter. An error may name runs
// and counts, never a subject.
//
// It goes over the heads of the records and refuses what they tell to be wrong: who is
// published under which code and name is known before there is any row. The records
// are read again, one after the other, when somebody asks for the rows.
//
// A name of a method that the registry does not list is free text of the store:
// what is published in its place is the options' to say.
func Assemble(records extract.Records, index *extract.Index, code func(original string) (string, bool), reg *config.Registry, o AssembleOptions) (*Content, error) {
	if o.Estimand != metrics.OverModels && o.Estimand != metrics.MeanRisk {
		return nil, fmt.Errorf("estimand %q is neither %s nor %s", o.Estimand, metrics.OverModels, metrics.MeanRisk)
	}
	a := &assembler{reg: reg, options: o, code: code, records: records, synthetic: index.Synthetic, subjects: map[string]struct{}{}}
	if err := a.readHeads(index); err != nil {
		return nil, err
	}
	if err := a.checkUpstream(index); err != nil {
		return nil, err
	}
	if err := a.publishNames(); err != nil {
		return nil, err
	}
	if err := a.uncoded.err(); err != nil {
		return nil, err
	}
	return &Content{a}, nil
}

// assembler holds what is known when the heads have been read.
type assembler struct {
	reg     *config.Registry
	options AssembleOptions
	code    func(string) (string, bool)
	records extract.Records

	// Of the index, which holds names and places of all runs and is not kept.
	synthetic bool
	listed    []listed // in the order of the index

	unfinished map[string]string    // reasons by run id
	configs    []*configured        // in the order of config_id
	ids        map[string]int       // config_id by run id
	hidden     map[[2]string]string // factor, name → published name of what the registry lacks
	subjects   map[string]struct{}  // codes of all subjects, training and test
	uncoded    uncoded

	// Of the rows that are being made.
	content    *rows
	verdicts   map[string]int             // of those in the table runs
	comparable []comparison.Configuration // registered configurations
	thresholds []float64                  // of the first configuration
	compared   int                        // configurations
}

// listed is what is published of a run of the index.
type listed struct {
	id, reason string
	verdict    extract.Verdict
	open       bool
}

// configured is a usable run with its published names. There is one for every run:
// it holds little.
type configured struct {
	RunID         string
	Configuration extract.Configuration
	record        int // place among the records
	tested        int // test subjects
	refits        int
	from          []string // what the run says of its origin in each stage of the options

	classifier, featurization, outlier, imputation string
	registered                                     bool
}
