// Package report sums up a study for people who were not there: what became of
// every run, what was checked, what is shown and what was left out.
//
// [Summarize] asks the public checkpoint and the sidecars and gives a [Report],
// the machine-readable summary; [Page] sets it as one HTML file with the figures
// inside. Both are functions of what they are given: no clock, no machine, no
// path. The package computes no measure and draws no figure.
package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// Schema is the version of the summary's form. The number is raised when a reader
// of the old form would misread the new one.
const Schema = "plr.report/1"

// Report is what outputs/analysis_report.json holds.
type Report struct {
	Schema string `json:"schema"`
	// Synthetic: the data are the bundled example's and say nothing of people.
	Synthetic bool   `json:"synthetic"`
	Estimand  string `json:"estimand"` // of tables, forests and numbers: over_models or mean_risk

	Subjects       Subjects  `json:"subjects"`
	Configurations []Grid    `json:"configurations"` // counted by classifier and features
	Refits         *int      `json:"refits"`         // of each configuration; null where they differ
	Runs           Runs      `json:"runs"`
	Checks         Checks    `json:"checks"`
	Validation     []string  `json:"validation_warnings"`
	Settings       []Setting `json:"settings"` // that the checkpoint was made with

	Documents []Document       `json:"documents"`
	Numbers   []sidecar.Number `json:"numbers"` // those of numbers.tex
	// NumbersCaption says what they are: estimand, intervals, test set.
	NumbersCaption string `json:"numbers_caption"`
}

// Subjects are counts of people.
type Subjects struct {
	Coded      int  `json:"coded"` // with a code, training and test
	Controls   int  `json:"controls"`
	Events     int  `json:"events"`
	Unlabelled int  `json:"unlabelled"` // of the source, without a label and so without a code
	Test       *int `json:"test"`       // in the test set; null where configurations differ
	TestEvents *int `json:"test_events"`
}

// Grid counts the configurations of one classifier on one kind of features.
type Grid struct {
	Classifier    string `json:"classifier"` // as it is printed
	Featurization string `json:"featurization"`
	N             int    `json:"n"`
}

// Runs is what became of every run directory of the experiment.
type Runs struct {
	Total     int       `json:"total"`
	ByVerdict []Verdict `json:"by_verdict"` // used first, then as they are decided
	List      []Run     `json:"list"`       // by run id
}

// Verdict counts the runs of one verdict.
type Verdict struct {
	Verdict string `json:"verdict"`
	N       int    `json:"n"`
}

// Run is one run directory. Reason is of a closed list, "" where the verdict says
// all; Configuration and Label are those that a used run stands for.
type Run struct {
	Run           string                 `json:"run"`
	Verdict       string                 `json:"verdict"`
	Reason        string                 `json:"reason"`
	Configuration *sidecar.Configuration `json:"configuration"`
	Label         string                 `json:"label"`
}

// Checks compares what pickles say of themselves with what their predictions give.
type Checks struct {
	Counts   []CheckCount `json:"counts"` // by check
	Disagree []Check      `json:"disagree"`
}

// CheckCount counts the configurations that one check was made of.
type CheckCount struct {
	Check    string `json:"check"`
	Agree    int    `json:"agree"`
	Disagree int    `json:"disagree"`
}

// Check is one that disagrees: what the pickle says, what was computed, and by how
// much they may differ. A number that is undefined is null.
type Check struct {
	Check         string                `json:"check"`
	Configuration sidecar.Configuration `json:"configuration"`
	Label         string                `json:"label"`
	Expected      *float64              `json:"expected"`
	Found         *float64              `json:"found"`
	Tolerance     float64               `json:"tolerance"`
}

// Setting is one of table meta, such as subject_tables.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Document is one figure or table: what it is of and what it leaves out.
type Document struct {
	ID       string             `json:"id"`
	Kind     string             `json:"kind"` // figure, table or numbers
	Title    string             `json:"title"`
	Section  string             `json:"section"`
	Caption  string             `json:"caption"`
	File     string             `json:"file"`    // below the results
	Sidecar  string             `json:"sidecar"` // where its numbers are
	Estimand string             `json:"estimand"`
	Filter   string             `json:"filter"`
	Excluded []sidecar.Excluded `json:"excluded"`
	Warnings []string           `json:"warnings"`
}

// Encode gives the one form of a report: keys sorted, shortest floats that read
// back the same, one newline at the end.
func Encode(r *Report) ([]byte, error) {
	// Numbers come as sidecars have them: a text that goes through a map keeps
	// its digits only as json.Number.
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var sorted map[string]any
	if err := d.Decode(&sorted); err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(sorted); err != nil {
		return nil, fmt.Errorf("encode report: %w", err)
	}
	return b.Bytes(), nil
}

// Decode reads what Encode wrote. Another version of the form, unknown members and
// something behind the report are errors.
func Decode(data []byte) (*Report, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	r := new(Report)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("decode report: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode report: something follows it")
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("decode report: its schema is %q; this program reads %s", r.Schema, Schema)
	}
	return r, nil
}

// DecodeVerdicts reads of what Encode wrote how many runs have which verdict, and
// leaves the rest alone: every build asks, and a report may be long.
func DecodeVerdicts(data []byte) (Runs, error) {
	var r struct {
		Schema string `json:"schema"`
		Runs   struct {
			Total     int       `json:"total"`
			ByVerdict []Verdict `json:"by_verdict"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return Runs{}, fmt.Errorf("decode report: %w", err)
	}
	if r.Schema != Schema {
		return Runs{}, fmt.Errorf("decode report: its schema is %q; this program reads %s", r.Schema, Schema)
	}
	return Runs{Total: r.Runs.Total, ByVerdict: r.Runs.ByVerdict}, nil
}
