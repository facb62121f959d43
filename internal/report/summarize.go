package report

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// Source is one figure or table that a report speaks of.
type Source struct {
	Kind    string // figure, table or numbers
	File    string // below the results
	Sidecar string
	Doc     *sidecar.Document
}

// The kinds of sources.
const (
	KindFigure  = "figure"
	KindTable   = "table"
	KindNumbers = "numbers"
)

// verdicts in the order in which they are decided, with what they mean to
// somebody who looks for a run.
var verdicts = []struct{ verdict, meaning string }{
	{"used", "read, and in the database"},
	{"bad_meta", "its metadata cannot be read"},
	{"not_classification", "it trained no classifier"},
	{"excluded", "the settings list it as one to leave out"},
	{"deleted", "deleted in MLflow"},
	{"failed", "failed or killed, says MLflow"},
	{"superseded", "a later or finished run of the same configuration is used"},
	{"no_artifact", "it has no metrics pickle"},
	{"ambiguous_artifact", "it has several metrics pickles, none named after the run"},
	{"unfinished", "still running, says MLflow, and its pickle is not complete"},
	{"unreadable", "its pickle cannot be read"},
}

// meaning of a verdict; "" of one that is not known here.
func meaning(verdict string) string {
	for _, v := range verdicts {
		if v.verdict == verdict {
			return v.meaning
		}
	}
	return ""
}

// settingPrefix begins the keys of table meta that say how the checkpoint was
// made.
const settingPrefix = "settings."

// Summarize makes a report from an open checkpoint, the warnings of its validation
// and the figures and tables, in the order in which they are to be shown.
func Summarize(ctx context.Context, db *sql.DB, warnings []string, sources []Source) (*Report, error) {
	r := &Report{
		Schema:     Schema,
		Validation: []string{}, // not null
		Settings:   []Setting{},
		Documents:  []Document{},
		Numbers:    []sidecar.Number{},
	}
	for _, w := range warnings {
		r.Validation = append(r.Validation, strings.TrimPrefix(w, "warning: "))
	}
	q := &query{ctx: ctx, db: db}
	for _, part := range []func(*Report) error{q.meta, q.grid, q.runs, q.checks} {
		if err := part(r); err != nil {
			return nil, err
		}
	}
	for _, s := range sources {
		if s.Doc.Synthetic != r.Synthetic {
			return nil, fmt.Errorf("%s and the database disagree on whether the data are synthetic: build it again", s.Sidecar)
		}
		r.Documents = append(r.Documents, Document{
			ID: s.Doc.ID, Kind: s.Kind, Title: s.Doc.Title, Section: s.Doc.Section, Caption: s.Doc.Caption, File: s.File, Sidecar: s.Sidecar,
			Estimand: s.Doc.Estimand, Filter: s.Doc.Filter,
			Excluded: slices.Concat([]sidecar.Excluded{}, s.Doc.Excluded), Warnings: slices.Concat([]string{}, s.Doc.Warnings),
		})
		if s.Kind == KindNumbers {
			r.Numbers = append(r.Numbers, s.Doc.Numbers...)
			r.NumbersCaption, r.Estimand = s.Doc.Caption, s.Doc.Estimand
		}
	}
	return r, nil
}

// Verdicts counts the runs of an open checkpoint by verdict.
func Verdicts(ctx context.Context, db *sql.DB) (Runs, error) {
	var r Report
	if err := (&query{ctx: ctx, db: db}).runs(&r); err != nil {
		return Runs{}, err
	}
	return r.Runs, nil
}

// String says the verdicts in one line: "52 of 55 runs used; failed 1, deleted 1".
func (r Runs) String() string {
	used := 0
	var left []string
	for _, v := range r.ByVerdict {
		if v.Verdict == "used" {
			used = v.N
		} else if v.N > 0 {
			left = append(left, fmt.Sprintf("%s %d", v.Verdict, v.N))
		}
	}
	text := fmt.Sprintf("%d of %s used", used, count(r.Total, "run", "runs"))
	if left != nil {
		text += "; " + strings.Join(left, ", ")
	}
	return text
}

// query asks one checkpoint.
type query struct {
	ctx context.Context
	db  *sql.DB
}

// each calls scan for every row of an answer.
func (q *query) each(what, text string, scan func(*sql.Rows) error) (err error) {
	rows, err := q.db.QueryContext(q.ctx, text)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

const makeAnew = "make the checkpoint anew with the target extract"

// meta reads counts and settings.
func (q *query) meta(r *Report) error {
	values := map[string]string{}
	err := q.each("table meta", `SELECT key, value FROM meta ORDER BY key`, func(rows *sql.Rows) error {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		values[key] = value
		if name, ok := strings.CutPrefix(key, settingPrefix); ok {
			r.Settings = append(r.Settings, Setting{Name: name, Value: value})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.Synthetic, err = strconv.ParseBool(values["synthetic"]); err != nil {
		return fmt.Errorf("table meta does not say whether the data are synthetic; %s", makeAnew)
	}
	r.Estimand = values["estimand"]
	for _, c := range []struct {
		key  string
		into *int
	}{
		{"n_subjects", &r.Subjects.Coded}, {"n_control", &r.Subjects.Controls}, {"n_event", &r.Subjects.Events}, {"n_unlabelled", &r.Subjects.Unlabelled},
	} {
		if *c.into, err = strconv.Atoi(values[c.key]); err != nil {
			return fmt.Errorf("table meta: %s is %q, not a number; %s", c.key, values[c.key], makeAnew)
		}
	}
	// The checkpoint leaves it out where configurations differ.
	if text, ok := values["n_refits"]; ok {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("table meta: n_refits is %q, not a number; %s", text, makeAnew)
		}
		r.Refits = &n
	}
	return nil
}

// label is the printed name of a method of a configuration in SQL.
func label(factor, column string) string {
	return fmt.Sprintf(`coalesce((SELECT nullif(m.label, '') FROM methods m WHERE m.factor = '%s' AND m.name = e.%s), e.%[2]s)`, factor, column)
}

// columns are the methods of a configuration, and its name in print.
var columns = `e.outlier_method, e.imputation_method, e.classifier, e.featurization, concat_ws(' + ', ` + strings.Join([]string{
	label("outlier", "outlier_method"), label("imputation", "imputation_method"), label("classifier", "classifier"), label("featurization", "featurization"),
}, ", ") + `)`

// grid counts configurations, and the test set where all have the same number.
func (q *query) grid(r *Report) error {
	r.Configurations = []Grid{}
	err := q.each("configurations", `SELECT `+label("classifier", "classifier")+`, `+label("featurization", "featurization")+`, count(*)
		FROM essential_metrics e GROUP BY e.classifier, e.featurization ORDER BY e.classifier, e.featurization`, func(rows *sql.Rows) error {
		var g Grid
		if err := rows.Scan(&g.Classifier, &g.Featurization, &g.N); err != nil {
			return err
		}
		r.Configurations = append(r.Configurations, g)
		return nil
	})
	if err != nil {
		return err
	}
	return q.each("test set", `SELECT min(n_test), max(n_test), min(n_events), max(n_events) FROM essential_metrics HAVING count(*) > 0`, func(rows *sql.Rows) error {
		var n, nMax, events, eventsMax int
		if err := rows.Scan(&n, &nMax, &events, &eventsMax); err != nil {
			return err
		}
		if n == nMax && events == eventsMax {
			r.Subjects.Test, r.Subjects.TestEvents = &n, &events
		}
		return nil
	})
}

// runs reads what became of each run.
func (q *query) runs(r *Report) error {
	counts := map[string]int{}
	r.Runs.List = []Run{}
	err := q.each("table runs", `SELECT r.run_id, r.verdict, coalesce(r.reason, ''), r.config_id IS NOT NULL, `+columns+`
		FROM runs r LEFT JOIN essential_metrics e ON e.config_id = r.config_id ORDER BY r.run_id`, func(rows *sql.Rows) error {
		var run Run
		var configured bool
		var of [5]sql.NullString
		if err := rows.Scan(&run.Run, &run.Verdict, &run.Reason, &configured, &of[0], &of[1], &of[2], &of[3], &of[4]); err != nil {
			return err
		}
		if configured {
			run.Configuration = &sidecar.Configuration{Outlier: of[0].String, Imputation: of[1].String, Classifier: of[2].String, Featurization: of[3].String}
			run.Label = of[4].String
		}
		counts[run.Verdict]++
		r.Runs.List = append(r.Runs.List, run)
		return nil
	})
	if err != nil {
		return err
	}
	r.Runs.Total = len(r.Runs.List)
	r.Runs.ByVerdict = []Verdict{}
	for _, v := range verdicts {
		r.Runs.ByVerdict = append(r.Runs.ByVerdict, Verdict{Verdict: v.verdict, N: counts[v.verdict]})
		delete(counts, v.verdict)
	}
	for verdict := range counts {
		return fmt.Errorf("table runs has the verdict %q, which this version does not know; %s", verdict, makeAnew)
	}
	return nil
}

// checks counts what agrees and lists what does not.
func (q *query) checks(r *Report) error {
	r.Checks = Checks{Counts: []CheckCount{}, Disagree: []Check{}}
	err := q.each("table checks", `SELECT "check", count(*) FILTER (ok), count(*) FILTER (NOT ok) FROM checks GROUP BY "check" ORDER BY "check"`, func(rows *sql.Rows) error {
		var c CheckCount
		if err := rows.Scan(&c.Check, &c.Agree, &c.Disagree); err != nil {
			return err
		}
		r.Checks.Counts = append(r.Checks.Counts, c)
		return nil
	})
	if err != nil {
		return err
	}
	return q.each("table checks", `SELECT c."check", c.expected, c.found, c.tolerance, `+columns+`
		FROM checks c JOIN essential_metrics e USING (config_id) WHERE NOT c.ok ORDER BY c."check", c.config_id`, func(rows *sql.Rows) error {
		var c Check
		var expected, found sql.NullFloat64
		of := &c.Configuration
		if err := rows.Scan(&c.Check, &expected, &found, &c.Tolerance, &of.Outlier, &of.Imputation, &of.Classifier, &of.Featurization, &c.Label); err != nil {
			return err
		}
		c.Expected, c.Found = defined(expected), defined(found)
		r.Checks.Disagree = append(r.Checks.Disagree, c)
		return nil
	})
}

func defined(x sql.NullFloat64) *float64 {
	if !x.Valid {
		return nil
	}
	return &x.Float64
}
