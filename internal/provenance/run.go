package provenance

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"slices"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// Run is a run that a configuration of the database stands on.
type Run struct {
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
	Outside bool   `json:"artifact_outside_store,omitempty"` // in another directory than that of its file store
	Version string `json:"artifact_version,omitempty"`
	// Why the private side, which is there, does not tell that.
	Untold string `json:"private_side_untold,omitempty"`

	Origins []Origin `json:"origins,omitempty"`
}

// Runs asks the public database which runs a configuration stands on.
func (s *Study) Runs(ctx context.Context, c sidecar.Configuration) (runs []Run, err error) {
	db, err := duckfile.Open(ctx, s.Database)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return s.configuredRuns(ctx, db, "outlier_method = ? AND imputation_method = ? AND classifier = ? AND featurization = ?",
		c.Outlier, c.Imputation, c.Classifier, c.Featurization)
}

// configuredRuns are the runs of the configurations that a condition holds for.
func (s *Study) configuredRuns(ctx context.Context, db *sql.DB, condition string, args ...any) (runs []Run, err error) {
	rows, err := db.QueryContext(ctx, `SELECT run_id, config_id, artifact_blake3_keyed, bytes, reader_version
FROM essential_metrics JOIN provenance USING (config_id) WHERE `+condition+` ORDER BY run_id`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var run Run
		if err := rows.Scan(&run.Run, &run.Configuration, &run.ArtifactKeyed, &run.Bytes, &run.Reader); err != nil {
			return nil, err
		}
		// What the database says holds without the private side.
		if err := s.compareArtifact(&run); err != nil {
			run.Untold = s.Redact(err.Error())
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
func (s *Study) compareArtifact(run *Run) error {
	var record extract.Record
	err := extract.Read(s.Record(run.Run), &record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := s.Key()
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
	err = extract.Read(s.Index, &index)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if i := slices.IndexFunc(index.Runs, func(r extract.IndexedRun) bool { return r.RunID == run.Run }); err == nil && i >= 0 {
		run.File, run.Outside = s.Redact(index.Runs[i].Artifact), index.Runs[i].Place > 0
		if there := index.Runs[i].Remote; there != nil {
			run.Version = s.Redact(there.Pickle.Version)
		}
	}
	return err
}
