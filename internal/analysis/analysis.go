// Package analysis asks the public checkpoint for the numbers of each figure,
// table and macro file and writes them into a sidecar document, with captions
// and alternative texts that say how the numbers came about.
//
// It knows neither how the checkpoint is made nor how a document is drawn. It
// computes no measure of its own: estimates and intervals come from the table
// stratos_metrics in one estimand a document, curves from the curve tables, and
// the rest from package metrics. What it adds is choice (which configurations),
// order, and plain averages over configurations that are called just that.
package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
)

// Style names the rules by which documents of this package want to be drawn.
const Style = "house/1"

// Kinds of documents.
const (
	KindFigure  = "figure"
	KindTable   = "table"
	KindNumbers = "numbers"
)

// Spec names a document that Build can make.
type Spec struct {
	ID    string // id of the document
	Title string
	Kind  string // figure, table or numbers
	Stem  string // name of the output file, without its extension
}

// Options are the settings of an analysis.
type Options struct {
	// Estimand of forests, heat maps, tables and numbers: over_models (used
	// when empty) or mean_risk. Curves are always of the mean risk.
	Estimand string
}

type maker struct {
	Spec
	section string
	make    func(*builder) error
}

// The order is that of the paper.
var makers = []maker{
	{Spec{"fig_stratos_core", "Discrimination, calibration, utility and risk", KindFigure, "fig_stratos_core"}, "main", stratosCore},
	{Spec{"fig_forest_combined", "AUROC by preprocessing method", KindFigure, "fig_forest_combined"}, "main", forestCombined},
	{Spec{"fig_heatmap_preprocessing", "AUROC by outlier and imputation method", KindFigure, "fig_heatmap_preprocessing"}, "main", heatmapPreprocessing},
	{Spec{"numbers", "Numbers for the text", KindNumbers, "numbers"}, "main", numbers},
	{Spec{"tab_stratos_top10", "STRATOS measures of the best configurations", KindTable, "tab_stratos_top10"}, "main", tabTop},
	{Spec{"tab_all_configs", "All configurations", KindTable, "tab_all_configs"}, "supplementary", tabAll},
}

// Figures lists the figures.
func Figures() []Spec {
	return specs(func(m maker) bool { return m.Kind == KindFigure })
}

// Tables lists the tables and the macro file of numbers.
func Tables() []Spec {
	return specs(func(m maker) bool { return m.Kind != KindFigure })
}

func specs(want func(maker) bool) []Spec {
	var out []Spec
	for _, m := range makers {
		if want(m) {
			out = append(out, m.Spec)
		}
	}
	return out
}

// Build makes the document with the given id from an open checkpoint. reg says
// which pipelines have names; one that the checkpoint lacks is reported in the
// document's warnings and never replaced. A question that finds no row is an
// error: nothing is drawn empty.
func Build(ctx context.Context, db *sql.DB, id string, reg *config.Registry, o Options) (*sidecar.Document, error) {
	i := slices.IndexFunc(makers, func(m maker) bool { return m.ID == id })
	if i < 0 {
		var ids []string
		for _, m := range makers {
			ids = append(ids, m.ID)
		}
		return nil, fmt.Errorf("%q is no figure or table; there are %s", id, strings.Join(ids, ", "))
	}
	if o.Estimand == "" {
		o.Estimand = metrics.OverModels
	}
	if o.Estimand != metrics.OverModels && o.Estimand != metrics.MeanRisk {
		return nil, fmt.Errorf("%s: estimand %q is neither %s nor %s", id, o.Estimand, metrics.OverModels, metrics.MeanRisk)
	}
	doc, err := build(ctx, db, makers[i], reg.Pipelines(), o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return doc, nil
}

func build(ctx context.Context, db *sql.DB, m maker, pipelines []config.Pipeline, o Options) (*sidecar.Document, error) {
	schema := sidecar.TableSchema
	if m.Kind == KindFigure {
		schema = sidecar.FigureSchema
	}
	b := &builder{
		ctx:       ctx,
		db:        db,
		pipelines: pipelines,
		doc: &sidecar.Document{
			Schema: schema, ID: m.ID, Title: m.Title, Section: m.section, Estimand: o.Estimand,
			Queries: []sidecar.Query{}, Excluded: []sidecar.Excluded{}, Params: map[string]any{},
			Style: Style, Warnings: []string{},
		},
	}
	if err := b.readStudy(); err != nil {
		return nil, err
	}
	if err := m.make(b); err != nil {
		return nil, err
	}
	if b.doc.Synthetic {
		// A caption gets its mark from whoever sets it, by the document's field;
		// an alternative text stands alone.
		b.doc.Alt = syntheticMark + " " + b.doc.Alt
	}
	return b.doc, nil
}
