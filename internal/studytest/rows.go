package studytest

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/foundation-plr/pipeline/internal/checkpoint"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// Registry is that of the study.
func Registry(t testing.TB) *config.Registry {
	t.Helper()
	reg, err := config.LoadRegistry(filepath.Join("..", "..", "configs", "registry.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// Published is what a lookup says of the two names that the registry lacks.
func Published(factor, name string) (string, bool) {
	n, ok := map[string]int{"private outlier A": 2, "private outlier B": 1}[name]
	return fmt.Sprint(disclosure.Unregistered, n), ok && factor == config.Outlier
}

// keyed stands for a keyed digest.
func keyed(digest string) (string, error) { return "ab" + digest[2:], nil }

// inMemory are records that nobody wrote.
type inMemory []*extract.Record

func (m inMemory) Len() int { return len(m) }

func (m inMemory) Head(i int) (*extract.Head, error) { return &m[i].Head, nil }

func (m inMemory) Record(i int) (*extract.Record, error) { return m[i], nil }

// Options are those of a study without runs before classification.
func Options() checkpoint.AssembleOptions {
	return checkpoint.AssembleOptions{
		Published: Published, KeyedDigest: keyed, Estimand: metrics.MeanRisk, Margin: 0.05, Unlabelled: 5,
		Privacy:  disclosure.Privacy{SubjectTables: true},
		Settings: map[string]string{"thresholds": "0.05 0.1 0.15 0.2"},
	}
}

// OptionsOf are those of a choice of what is told of single subjects.
func OptionsOf(p disclosure.Privacy) checkpoint.AssembleOptions {
	o := Options()
	o.Privacy = p
	return o
}

// Rows are the rows of a database, cells as the file has them.
type Rows map[string][][]any

// Each gives the rows to a writer.
func (r Rows) Each(add func(table string, cells ...any) error) error {
	for _, t := range schema.Tables {
		for _, row := range r[t.Name] {
			if err := add(t.Name, row...); err != nil {
				return err
			}
		}
	}
	return nil
}

// Gather assembles a study and keeps its rows, which fit the schema.
func Gather(t testing.TB, s *Study, o checkpoint.AssembleOptions) (Rows, error) {
	t.Helper()
	c, err := checkpoint.Assemble(inMemory(s.Records), s.Index, s.Code, Registry(t), o)
	if err != nil {
		return nil, err
	}
	all := Rows{}
	return all, c.Rows(func(table string, cells ...any) error {
		columns := schema.Named(table).Columns
		if len(cells) != len(columns) {
			return fmt.Errorf("%s: %d cells for %d columns", table, len(cells), len(columns))
		}
		row := make([]any, len(cells))
		for i, c := range columns {
			var ok bool
			if row[i], ok = c.Cell(cells[i]); !ok {
				return fmt.Errorf("%s.%s: a %T", table, c.Name, row[i])
			}
		}
		all[table] = append(all[table], row)
		return nil
	})
}

// Assemble is Gather of a study that is a good one.
func Assemble(t testing.TB, s *Study, o checkpoint.AssembleOptions) Rows {
	t.Helper()
	all, err := Gather(t, s, o)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
