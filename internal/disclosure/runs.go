package disclosure

import "github.com/foundation-plr/pipeline/internal/extract"

// Verdicts that a run can have, as the table meta counts them.
var Verdicts = []extract.Verdict{
	extract.Used, extract.BadMeta, extract.NotClassification, extract.Excluded, extract.Deleted, extract.Failed,
	extract.Superseded, extract.NoArtifact, extract.AmbiguousArtifact, extract.Unfinished, extract.Unreadable,
}

// Reasons is the closed list of what stands beside a verdict: no text of a store
// gets into the table runs.
var Reasons = []string{
	extract.ReasonMeta, extract.ReasonRunID, extract.ReasonParams, extract.ReasonDisagree, extract.ReasonName,
	extract.ReasonExcluded, extract.ReasonDeleted, extract.ReasonFailed, extract.ReasonKilled, extract.ReasonUnfinished,
	extract.ReasonOlder, extract.ReasonSameTime, extract.ReasonNoPickle, extract.ReasonManyPickles,
	extract.ReasonArtifactLeave, extract.ReasonArtifacts, extract.ReasonFileName, extract.ReasonIncomplete, ReasonOpen,
}

// ReasonOpen flags a used run that the store still calls running.
const ReasonOpen = "open run with a complete metrics pickle"
