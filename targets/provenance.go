package targets

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/internal/checkpoint"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// What explain takes for a row of the public database: a configuration by
// config:ID, a run by its id, behind run: or not.
const (
	runPrefix    = "run:"
	configPrefix = "config:"
)

var runIDForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// configured is a run that a configuration of the database stands on.
type configured struct {
	Run           string `json:"run"`
	Configuration int    `json:"configuration"`
	// What the database says of the run's artifact.
	ArtifactKeyed string `json:"artifact_blake3_keyed"`
	Bytes         int64  `json:"bytes"`
	Reader        string `json:"reader_version"`
	// What only who holds the private side is told: the digest of the artifact
	// as it was last read, and whether it is the one that is published.
	Artifact  string `json:"artifact_blake3,omitempty"`
	Published *bool  `json:"artifact_is_published,omitempty"`
	// Where it was read, and what the tracking server, if that is where, calls the
	// state it was in.
	File    string `json:"artifact,omitempty"`
	Version string `json:"artifact_version,omitempty"`

	Origins []origin `json:"origins,omitempty"`
}

// row is a run or a configuration as the public database has it.
type row struct {
	Run           string                 `json:"run,omitempty"`
	ConfigID      int                    `json:"config_id,omitempty"`
	Stage         string                 `json:"stage,omitempty"` // of a run before classification
	Verdict       string                 `json:"verdict,omitempty"`
	Reason        string                 `json:"reason,omitempty"`
	Configuration *sidecar.Configuration `json:"configuration,omitempty"`
	Runs          []configured           `json:"runs,omitempty"`
	UsedBy        []string               `json:"used_by,omitempty"` // runs that came from a run before classification
}

// row returns what the database says of a run or a configuration; nil if neither
// is meant, or there is no such one or no database: then it may be a step.
func (s *study) row(ctx context.Context, what string) (found *row, err error) {
	id := strings.TrimPrefix(what, runPrefix)
	config, isConfig := strings.CutPrefix(what, configPrefix)
	number, bad := strconv.Atoi(config)
	switch {
	case isConfig && bad != nil:
		return nil, usage("explain %s: a configuration is named by its config_id, such as %s1", what, configPrefix)
	case !isConfig && !runIDForm.MatchString(id):
		return nil, nil
	}
	if _, err := os.Stat(s.settings.PublicDB); errors.Is(err, fs.ErrNotExist) {
		if isConfig {
			return nil, fmt.Errorf("there is no public database at %s yet: mage extract makes it", s.settings.PublicDB)
		}
		return nil, nil
	}
	db, err := checkpoint.Open(ctx, s.settings.PublicDB)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closed := db.Close(); err == nil { // an error of usage stays one
			err = closed
		}
	}()
	if !isConfig {
		found = &row{Run: id}
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
		found = new(row)
	}
	var c sidecar.Configuration
	err = db.QueryRowContext(ctx, `SELECT outlier_method, imputation_method, classifier, featurization FROM essential_metrics WHERE config_id = ?`, number).
		Scan(&c.Outlier, &c.Imputation, &c.Classifier, &c.Featurization)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, usage("the database %s has no configuration %d", filepath.Base(s.settings.PublicDB), number)
	}
	if err != nil {
		return nil, err
	}
	found.ConfigID, found.Configuration = number, &c
	found.Runs, err = s.configuredRuns(ctx, db, "config_id = ?", number)
	return found, err
}

// upstreamRow is row for a run of a stage before classification.
func (s *study) upstreamRow(ctx context.Context, db *sql.DB, id string) (*row, error) {
	found := &row{Run: id}
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

// runsOf asks the public database which runs a configuration stands on.
func (s *study) runsOf(ctx context.Context, c sidecar.Configuration) (runs []configured, err error) {
	db, err := checkpoint.Open(ctx, s.settings.PublicDB)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return s.configuredRuns(ctx, db, "outlier_method = ? AND imputation_method = ? AND classifier = ? AND featurization = ?",
		c.Outlier, c.Imputation, c.Classifier, c.Featurization)
}

// configuredRuns are the runs of the configurations that a condition holds for.
func (s *study) configuredRuns(ctx context.Context, db *sql.DB, condition string, args ...any) (runs []configured, err error) {
	rows, err := db.QueryContext(ctx, `SELECT run_id, config_id, artifact_blake3_keyed, bytes, reader_version
FROM essential_metrics JOIN provenance USING (config_id) WHERE `+condition+` ORDER BY run_id`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var run configured
		if err := rows.Scan(&run.Run, &run.Configuration, &run.ArtifactKeyed, &run.Bytes, &run.Reader); err != nil {
			return nil, err
		}
		if err := s.compareArtifact(&run); err != nil {
			return nil, err
		}
		if run.Origins, err = originsOf(ctx, db, run.Run); err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, rows.Err()
}

// compareArtifact adds what the private side, where it is, knows of a run's
// artifact.
func (s *study) compareArtifact(run *configured) error {
	var record extract.Record
	err := extract.Read(filepath.Join(s.settings.PrivateDir, "runs", run.Run+recordSuffix), &record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := s.key()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	keyed, err := anonymize.KeyedDigest(key, record.Artifact.BLAKE3)
	if err != nil {
		return err
	}
	same := keyed == run.ArtifactKeyed
	run.Artifact, run.Published = record.Artifact.BLAKE3, &same
	var index extract.Index
	err = extract.Read(filepath.Join(s.settings.PrivateDir, indexFile), &index)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if i := slices.IndexFunc(index.Runs, func(r extract.IndexedRun) bool { return r.RunID == run.Run }); err == nil && i >= 0 {
		run.File = s.gate.redact(index.Runs[i].Artifact)
		if there := index.Runs[i].Remote; there != nil {
			run.Version = s.gate.redact(there.Pickle.Version)
		}
	}
	return err
}

// write prints a run that a configuration stands on.
func (run configured) write(b *strings.Builder) {
	fmt.Fprintf(b, "  run      %s, configuration %d of the database\n", run.Run, run.Configuration)
	fmt.Fprintf(b, "  artifact %d bytes, read by %s; keyed digest %.12s\n", run.Bytes, run.Reader, run.ArtifactKeyed)
	switch {
	case run.Published == nil:
	case *run.Published:
		fmt.Fprintf(b, "           of the file with the digest %.12s\n", run.Artifact)
	default:
		fmt.Fprintf(b, "           not of the file with the digest %.12s, which was read since, or codes were drawn anew: mage extract brings the database up to date\n", run.Artifact)
	}
	if run.File != "" {
		fmt.Fprintf(b, "           %s of the tracking store\n", run.File)
	}
	if run.Version != "" {
		fmt.Fprintf(b, "           which the server calls %s\n", run.Version)
	}
	for _, from := range run.Origins {
		fmt.Fprintf(b, "  from     %s\n", from)
	}
}

// write prints a row for people.
func (r *row) write(w io.Writer, redact func(string) string) error {
	var b strings.Builder
	verdict := r.Verdict
	if r.Reason != "" {
		verdict += ", because: " + r.Reason
	}
	switch {
	case r.Stage != "":
		fmt.Fprintf(&b, "run %s of the stage %s: %s\n", r.Run, strings.ReplaceAll(r.Stage, "_", " "), verdict)
		for _, id := range r.UsedBy {
			fmt.Fprintf(&b, "  origin of run %s\n", id)
		}
	case r.Run != "":
		fmt.Fprintf(&b, "run %s: %s\n", r.Run, verdict)
	default:
		fmt.Fprintf(&b, "configuration %d\n", r.ConfigID)
	}
	if c := r.Configuration; c != nil {
		fmt.Fprintf(&b, "  of       outlier %s, imputation %s, classifier %s, featurization %s\n", c.Outlier, c.Imputation, c.Classifier, c.Featurization)
	}
	for _, run := range r.Runs {
		run.write(&b)
	}
	if r.Configuration != nil && len(r.Runs) == 0 {
		b.WriteString("  run      not known: the database does not say what it was read from; mage validate\n")
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, redact(b.String()))
	return err
}
