package disclosure

import (
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// StageTables are the tables of the runs before classification, by stage.
var StageTables = map[string]string{
	config.OutlierDetection: schema.OutlierRuns, config.Imputing: schema.ImputationRuns, config.Featurizing: schema.FeaturizationRuns,
}

// Absent is what the table meta says of a flow whose experiment the store lacks.
const Absent = "absent"

// FlowKey is where the table meta says of the flow of a stage that its runs are
// there, were not asked for, or the store has no such experiment.
func FlowKey(stage string) string { return "flows." + stage }

// FlowValues are all that it can say.
func FlowValues() []string { return []string{On, Off, Absent} }

// Verdicts of runs of these stages and the closed list of reasons beside them.
var (
	UpstreamVerdicts = []extract.Verdict{extract.Used, extract.BadMeta, extract.Deleted, extract.Failed, extract.Unreadable, extract.Unfinished}
	UpstreamReasons  = []string{
		extract.ReasonMeta, extract.ReasonRunID, extract.ReasonDeleted, extract.ReasonFailed, extract.ReasonKilled,
		extract.ReasonParams, extract.ReasonMetrics, extract.ReasonRunning,
	}
)

// States of an origin: what became of the run that a run names as its origin.
const (
	OriginFound        = "found"
	OriginUnfinished   = "unfinished"
	OriginDeleted      = "deleted"
	OriginFailed       = "failed"
	OriginUnreadable   = "unreadable"
	OriginNone         = "none"          // the run says that there is none, as a ground truth has
	OriginNotSaid      = "not_said"      // the run says nothing
	OriginNotAnID      = "not_an_id"     // what it says cannot be the id of a run
	OriginNoExperiment = "no_experiment" // of its stage in the store
	OriginOtherStage   = "other_stage"   // the run is one of another stage
	OriginNotInStore   = "not_in_store"
)

// KnownOrigins are the states in which from_run_id names the run: it is never the
// text of a param, but the id of a run that is there.
var KnownOrigins = map[string][]extract.Verdict{
	OriginFound: {extract.Used}, OriginUnfinished: {extract.Unfinished}, OriginDeleted: {extract.Deleted},
	OriginFailed: {extract.Failed}, OriginUnreadable: {extract.BadMeta, extract.Unreadable},
}

// OtherOrigins are the states in which it names none.
var OtherOrigins = []string{OriginNone, OriginNotSaid, OriginNotAnID, OriginNoExperiment, OriginOtherStage, OriginNotInStore}
