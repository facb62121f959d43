// Package sidecar defines the JSON documents that stand between the public
// database and every figure, table and macro file: each number that is shown,
// and nothing else that could change without the numbers changing.
//
// It knows neither the database that fills a document nor the pens that draw
// it. A document therefore holds no digest of the database, no commit, no
// version and no clock: any of these would redraw every figure on every change.
package sidecar

// Schemas of documents. The number is raised when a reader of the old form
// would misread the new one.
const (
	FigureSchema = "plr.figure/1"
	TableSchema  = "plr.table/1"
)

// Document is one figure's, table's or macro file's content.
type Document struct {
	Schema    string         `json:"schema"`
	ID        string         `json:"id"`
	Title     string         `json:"title"`
	Caption   string         `json:"caption,omitempty"` // what a reader must know to read it: estimand, interval, n, selection
	Section   string         `json:"section"`           // main or supplementary
	Estimand  string         `json:"estimand"`          // over_models or mean_risk; panels may differ and then say so
	Queries   []Query        `json:"queries"`
	Filter    string         `json:"filter"`
	Excluded  []Excluded     `json:"excluded"`
	Params    map[string]any `json:"params"`
	Synthetic bool           `json:"synthetic"`
	Alt       string         `json:"alt"`
	Style     string         `json:"style"`
	Panels    []Panel        `json:"panels,omitempty"`
	Table     *Table         `json:"table,omitempty"`
	Numbers   []Number       `json:"numbers,omitempty"`
	Warnings  []string       `json:"warnings"`
}

// Query is one question that was put to the database. BLAKE3 is over the
// canonical rows, so that a reader can tell whether the answer is the same.
type Query struct {
	Panel  string `json:"panel"`
	SQL    string `json:"sql"`
	Args   []any  `json:"args"`
	Rows   int    `json:"rows"`
	BLAKE3 string `json:"blake3"`
}

// Excluded counts configurations that the filter left out, by reason.
type Excluded struct {
	Reason string `json:"reason"`
	N      int    `json:"n"`
}

// Value is a number with its interval, or the reason why there is none.
// Estimate is nil where Undefined is set; CI is nil where IntervalUndefined is
// set or the measure has no interval.
type Value struct {
	Estimate          *float64    `json:"estimate"`
	Undefined         string      `json:"undefined,omitempty"`
	CI                *[2]float64 `json:"ci,omitempty"`
	CIMethod          string      `json:"ci_method,omitempty"`
	IntervalUndefined string      `json:"interval_undefined,omitempty"`
}

// The reasons of values without an estimate that are true limits.
const (
	PositiveInfinity = "positive_infinity"
	NegativeInfinity = "negative_infinity"
)

// NotShown is why a value comes without an interval that the database has.
const NotShown = "not_shown"

// Panel is one set of axes. Exactly one of the pointers is set, the one that
// Kind names.
type Panel struct {
	ID          string       `json:"id"`   // a, b, …
	Kind        string       `json:"kind"` // forest, heatmap, lines, calibration or risk
	Title       string       `json:"title"`
	X           string       `json:"x"`
	Y           string       `json:"y"`
	Estimand    string       `json:"estimand"`
	Forest      *Forest      `json:"forest,omitempty"`
	Heatmap     *Heatmap     `json:"heatmap,omitempty"`
	Lines       *Lines       `json:"lines,omitempty"`
	Calibration *Calibration `json:"calibration,omitempty"`
	Risk        *Risk        `json:"risk,omitempty"`
}

// Forest shows one row a method, best mean first: a dot with its interval for
// each configuration, and the mean of the dots as a mark without an interval.
type Forest struct {
	Rows      []ForestRow `json:"rows"`
	Reference []Reference `json:"reference"`
}

// ForestRow is one method and its configurations.
type ForestRow struct {
	Method   string        `json:"method"`
	Label    string        `json:"label"`
	Category string        `json:"category"`
	N        int           `json:"n"`
	Mean     Value         `json:"mean"`
	Range    [2]float64    `json:"range"` // smallest and largest dot
	Points   []ForestPoint `json:"points"`
}

// ForestPoint is one configuration; Label names the factor that varies in a row.
type ForestPoint struct {
	Label string `json:"label"`
	Value Value  `json:"value"`
}

// Reference is a line across a panel.
type Reference struct {
	Value float64 `json:"value"`
	Label string  `json:"label"`
}

// Heatmap shows outlier methods in rows and imputation methods in columns,
// both best marginal mean first. Cells is row-major; a cell without a
// configuration has N 0 and an undefined value.
type Heatmap struct {
	Rows    []HeatmapAxis   `json:"rows"`
	Columns []HeatmapAxis   `json:"columns"`
	Cells   [][]HeatmapCell `json:"cells"`
	Label   string          `json:"label"` // of the colour bar
}

// HeatmapAxis is one row or column with its marginal mean over the cells that exist.
type HeatmapAxis struct {
	Method   string `json:"method"`
	Label    string `json:"label"`
	Category string `json:"category"`
	N        int    `json:"n"`
	Mean     Value  `json:"mean"`
}

// HeatmapCell is one pair of methods.
type HeatmapCell struct {
	N     int   `json:"n"`
	Value Value `json:"value"`
	Best  bool  `json:"best"`
}

// Series names a pipeline and how it is drawn.
type Series struct {
	Pipeline string `json:"pipeline"` // its name in the registry, such as ground_truth
	Label    string `json:"label"`
	Category string `json:"category"` // decides colour, shape and dash
}

// Lines shows curves over one x axis: ROC and decision curves.
type Lines struct {
	Step   bool       `json:"step"` // right-angled steps between points
	XRange [2]float64 `json:"x_range"`
	YRange [2]float64 `json:"y_range"`
	Curves []Curve    `json:"curves"`
	// ValueLabel says what the curves' values are, such as "AUROC (95% CI)".
	ValueLabel string      `json:"value_label,omitempty"`
	Guides     []Curve     `json:"guides"` // chance, treat all, treat none
	Verticals  []Reference `json:"verticals"`
}

// Curve is one line; Value stands beside its label in the legend (an AUROC).
type Curve struct {
	Series
	X     []float64 `json:"x"`
	Y     []float64 `json:"y"`
	Value *Value    `json:"value,omitempty"`
}

// Calibration shows observed event rates in groups of predicted risk, with
// counts, and each pipeline's summary numbers.
type Calibration struct {
	Groups []CalibrationGroup `json:"groups"`
}

// CalibrationGroup is one pipeline.
type CalibrationGroup struct {
	Series
	Points    []CalibrationPoint `json:"points"`
	Slope     Value              `json:"slope"`
	Intercept Value              `json:"intercept"` // calibration in the large: slope fixed at 1
	OE        Value              `json:"oe"`
}

// CalibrationPoint is one bin: mean risk, observed rate, Wilson interval, rows.
type CalibrationPoint struct {
	Predicted float64 `json:"predicted"`
	Observed  float64 `json:"observed"`
	Lower     float64 `json:"lower"`
	Upper     float64 `json:"upper"`
	N         int     `json:"n"`
}

// Risk shows how predicted risks are distributed in each outcome.
type Risk struct {
	Edges  []float64   `json:"edges"` // of the bins, ascending, one more than bins
	Groups []RiskGroup `json:"groups"`
}

// RiskGroup is one pipeline: counts per bin and the risks themselves, ascending.
type RiskGroup struct {
	Series
	Control        []int     `json:"control"`
	Event          []int     `json:"event"`
	ControlRisks   []float64 `json:"control_risks"`
	EventRisks     []float64 `json:"event_risks"`
	Discrimination Value     `json:"discrimination_slope"` // mean risk of events minus mean risk of controls
}

// Table is rows of cells under columns that may share a heading.
type Table struct {
	Label   string   `json:"label"` // LaTeX label, such as tab:plr-stratos-top
	Long    bool     `json:"long"`  // longtable instead of a float
	Columns []Column `json:"columns"`
	Rows    []Row    `json:"rows"`
}

// Column is one column; neighbours with the same non-empty Group share a heading.
type Column struct {
	ID       string `json:"id"`
	Heading  string `json:"heading"` // plain text; the renderer escapes it
	Group    string `json:"group,omitempty"`
	Align    string `json:"align"`    // l or r
	Decimals int    `json:"decimals"` // of values in it
}

// Row is one row; SpaceBefore sets it off from the row above.
type Row struct {
	SpaceBefore bool   `json:"space_before,omitempty"`
	Cells       []Cell `json:"cells"`
}

// Cell is text or a value. Strong marks the best of its column.
type Cell struct {
	Text   string `json:"text,omitempty"`
	Value  *Value `json:"value,omitempty"`
	Strong bool   `json:"strong,omitempty"`
}

// Number is one macro of numbers.tex: \PLR<Name>. Exactly one of Text, Count
// and Value is set; a Value with an interval also yields \PLR<Name>CI.
type Number struct {
	Name     string `json:"name"` // letters only
	Text     string `json:"text,omitempty"`
	Count    *int   `json:"count,omitempty"`
	Value    *Value `json:"value,omitempty"`
	Decimals int    `json:"decimals"`
	Percent  bool   `json:"percent,omitempty"` // printed times 100
	Meaning  string `json:"meaning"`           // what the number is, for the reader of the sidecar
	// Query is the panel of the query that the number comes from, and
	// Configuration the one that it is a measure of, if it is of one.
	Query         string         `json:"query,omitempty"`
	Configuration *Configuration `json:"configuration,omitempty"`
}

// Configuration names one configuration by the methods of its factors, as the
// database spells them.
type Configuration struct {
	Outlier       string `json:"outlier"`
	Imputation    string `json:"imputation"`
	Classifier    string `json:"classifier"`
	Featurization string `json:"featurization"`
}
