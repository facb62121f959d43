// Package rules holds the public database against what its tables say of themselves and
// of each other, as a database with keys and checks would keep it: every rule is a query
// for rows that should not be.
//
// It computes no measure and knows no registry. A [Finding] says where something is
// wrong, and never quotes a text of the database: a text that is wrong may be private.
package rules

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
)

// Rule is a query for rows that should not be: its one column is the config_id
// concerned, or NULL; with Runs a second one is the run_id. A rule that is only reported
// has none.
type Rule struct {
	Table, Column, Message, Query string
	Warning, Runs                 bool
}

// Breach is how many rows of a configuration (0: of none) and a run ("": of none
// that may be named) break a rule.
type Breach struct {
	Config int
	Run    string
	Rows   int
}

// SummedTolerance is that of what is summed again, relative to 1 plus the size of the
// number: the subjects stand in the file in another order than in the pickle, so sums
// differ in their last bits.
const SummedTolerance = 1e-9

// Check is a database that is held against rules, with what was found.
type Check struct {
	Ctx      context.Context
	DB       *sql.DB
	Findings []Finding
}

// Add adds a finding.
func (c *Check) Add(f Finding) { c.Findings = append(c.Findings, f) }

// Hold asks the rule's query and reports what it finds.
func (c *Check) Hold(r Rule) error {
	run := "NULL"
	if r.Runs {
		run = "run_id"
	}
	columns := "config_id"
	if r.Runs {
		columns += ", run_id"
	}
	broken, err := c.counts("SELECT config_id, "+run+", count(*) FROM ("+r.Query+") AS broken("+columns+") GROUP BY ALL ORDER BY ALL NULLS FIRST", 1)
	if err != nil {
		return fmt.Errorf("rule %s.%s %q: %w", r.Table, r.Column, r.Message, err)
	}
	c.Report(r, broken[0])
	return nil
}

// counts reads a query of a config_id, a run_id and n counts, and returns for each
// count where it is not 0.
func (c *Check) counts(query string, n int) (broken [][]Breach, err error) {
	rows, err := c.DB.QueryContext(c.Ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	broken = make([][]Breach, n)
	var id sql.NullInt64
	var run sql.NullString
	found := make([]int, n)
	into := []any{&id, &run}
	for i := range found {
		into = append(into, &found[i])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		if !disclosure.PublicRunForm.MatchString(run.String) {
			run.String = "" // it may be anything, and other rules say so
		}
		for i, count := range found {
			if count > 0 {
				broken[i] = append(broken[i], Breach{int(id.Int64), run.String, count})
			}
		}
	}
	return broken, rows.Err()
}

// Report adds a finding for each breach of a rule, up to a number of them.
func (c *Check) Report(r Rule, broken []Breach) {
	what := "configurations"
	if r.Runs {
		what = "runs"
	}
	for i, b := range broken {
		if i == maxFindings {
			c.Add(Finding{Table: r.Table, Column: r.Column, Warning: r.Warning,
				Message: fmt.Sprintf("%s: the same for %d more %s", r.Message, len(broken)-maxFindings, what)})
			return
		}
		message := r.Message
		if b.Rows > 1 {
			message += fmt.Sprintf(" (%d rows)", b.Rows)
		}
		c.Add(Finding{Table: r.Table, Column: r.Column, ConfigID: b.Config, Run: b.Run, Message: message, Warning: r.Warning})
	}
}

// FactorColumn is a column of names of methods.
type FactorColumn struct{ Factor, Column string }

// FactorColumns say which column of the configurations has the names of which
// factor.
var FactorColumns = []FactorColumn{
	{config.Classifier, "classifier"}, {config.Featurization, "featurization"},
	{config.Outlier, "outlier_method"}, {config.Imputation, "imputation_method"},
}

func quotedList[T ~string](list []T) string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = duckfile.QuoteText(string(v))
	}
	return strings.Join(all, ", ")
}
