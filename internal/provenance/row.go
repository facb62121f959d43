// Package provenance follows a number, a configuration or a run back through the
// public database: to the runs that it stands on, what these came from, and the
// artifacts that they were read from. Where the private side is at hand it also says
// which file that was and whether it is still the published one. It knows neither
// the steps of a build nor who asks.
package provenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// What stands before the id of a row of the public database: a configuration is
// named by config:ID, a run by its id, behind run: or not.
const (
	RunPrefix    = "run:"
	ConfigPrefix = "config:"
)

var runIDForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Study is where the answers are.
type Study struct {
	Database string // the public one
	// The private side; none of it need be there.
	Index  string                  // the index of the tracking store
	Record func(run string) string // the record of a run
	Key    func() ([]byte, error)
	// Redact takes original codes out of names of files.
	Redact func(string) string
}

// NameError says that a name of a row is not one.
type NameError struct{ text string }

func (e *NameError) Error() string { return e.text }

func nameError(format string, args ...any) error {
	return &NameError{fmt.Sprintf(format, args...)}
}

// Row is a run or a configuration as the public database has it.
type Row struct {
	Run           string                 `json:"run,omitempty"`
	ConfigID      int                    `json:"config_id,omitempty"`
	Stage         string                 `json:"stage,omitempty"` // of a run before classification
	Verdict       string                 `json:"verdict,omitempty"`
	Reason        string                 `json:"reason,omitempty"`
	Configuration *sidecar.Configuration `json:"configuration,omitempty"`
	Runs          []Run                  `json:"runs,omitempty"`
	UsedBy        []string               `json:"used_by,omitempty"` // runs that came from a run before classification
}

// Row returns what the database says of a run or a configuration; nil if neither
// is meant, or there is no such one or no database: then it may be a step. A
// *NameError is the fault of who asks.
func (s *Study) Row(ctx context.Context, what string) (found *Row, err error) {
	id := strings.TrimPrefix(what, RunPrefix)
	config, isConfig := strings.CutPrefix(what, ConfigPrefix)
	number, bad := strconv.Atoi(config)
	switch {
	case isConfig && bad != nil:
		return nil, nameError("%s: a configuration is named by its config_id, such as %s1", what, ConfigPrefix)
	case !isConfig && !runIDForm.MatchString(id):
		return nil, nil
	}
	if _, err := os.Stat(s.Database); errors.Is(err, fs.ErrNotExist) {
		if isConfig {
			return nil, fmt.Errorf("there is no public database at %s yet: mage extract makes it", s.Database)
		}
		return nil, nil
	}
	db, err := duckfile.Open(ctx, s.Database)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closed := db.Close(); err == nil { // an error of usage stays one
			err = closed
		}
	}()
	if !isConfig {
		found = &Row{Run: id}
		var of sql.NullInt64
		err := db.QueryRowContext(ctx, `SELECT verdict, coalesce(reason, ''), config_id FROM runs WHERE run_id = ?`, id).Scan(&found.Verdict, &found.Reason, &of)
		if errors.Is(err, sql.ErrNoRows) {
			return s.upstreamRow(ctx, db, id)
		}
		if err != nil || !of.Valid {
			return found, err
		}
		number = int(of.Int64)
	} else {
		found = new(Row)
	}
	var c sidecar.Configuration
	err = db.QueryRowContext(ctx, `SELECT outlier_method, imputation_method, classifier, featurization FROM essential_metrics WHERE config_id = ?`, number).
		Scan(&c.Outlier, &c.Imputation, &c.Classifier, &c.Featurization)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nameError("the database %s has no configuration %d", filepath.Base(s.Database), number)
	}
	if err != nil {
		return nil, err
	}
	found.ConfigID, found.Configuration = number, &c
	found.Runs, err = s.configuredRuns(ctx, db, "config_id = ?", number)
	return found, err
}

// upstreamRow is row for a run of a stage before classification.
func (s *Study) upstreamRow(ctx context.Context, db *sql.DB, id string) (*Row, error) {
	found := &Row{Run: id}
	err := db.QueryRowContext(ctx, `SELECT stage, verdict, coalesce(reason, '') FROM (
SELECT 'outlier_detection' AS stage, run_id, verdict, reason FROM outlier_runs UNION ALL
SELECT 'imputation', run_id, verdict, reason FROM imputation_runs UNION ALL
SELECT 'featurization', run_id, verdict, reason FROM featurization_runs) WHERE run_id = ?`, id).Scan(&found.Stage, &found.Verdict, &found.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT DISTINCT run_id FROM lineage WHERE from_run_id = ? ORDER BY run_id`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // read only: nothing can be lost
	for rows.Next() {
		var by string
		if err := rows.Scan(&by); err != nil {
			return nil, err
		}
		found.UsedBy = append(found.UsedBy, by)
	}
	return found, rows.Err()
}
