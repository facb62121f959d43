package schema

// The stages before classification: a table of runs for each, their metrics, and
// which run came from which. Metrics are a table of their own because one run has
// them by split and with intervals; a column each would be a hundred.
const (
	OutlierRuns       = "outlier_runs"
	ImputationRuns    = "imputation_runs"
	FeaturizationRuns = "featurization_runs"
	UpstreamMetrics   = "upstream_metrics"
	Lineage           = "lineage"
)

// ofStages are in the order of the stages.
var ofStages = []Table{
	stageTable(OutlierRuns, "outlier_method"),
	stageTable(ImputationRuns, "imputation_method", "outlier_method"),
	stageTable(FeaturizationRuns, "featurization", "imputation_method", "outlier_method"),
	{UpstreamMetrics, []string{"stage", "run_id", "split", "metric"}, []Column{
		{"stage", varchar, 0},
		{"run_id", varchar, 0},
		{"split", varchar, Nullable},
		{"metric", varchar, 0},
		{"value", double, Nullable | Infinite},
		{"ci_lower", double, Nullable | Infinite},
		{"ci_upper", double, Nullable | Infinite},
	}},
	{Lineage, []string{"run_id", "stage"}, []Column{
		{"run_id", varchar, 0},
		{"stage", varchar, 0},
		{"config_id", integer, Nullable}, // of run_id
		{"from_run_id", varchar, Nullable},
		{"state", varchar, 0},
		{"agrees", boolean, Nullable},
	}},
}

// stageTable is a table of runs: methods are the stage's own and then those of the
// stages before it.
func stageTable(name string, methods ...string) Table {
	t := Table{name, []string{"run_id"}, []Column{{"run_id", varchar, 0}}}
	for _, m := range methods {
		t.Columns = append(t.Columns, Column{m, varchar, Nullable})
	}
	t.Columns = append(t.Columns, Column{"registered", boolean, 0}, Column{"verdict", varchar, 0}, Column{"reason", varchar, Nullable})
	return t
}
