// Package validation says whether a database is a public one of this version: that it has
// the tables and views of the schema and nothing beside them, that its rows keep to the
// rules, that its numbers are those that its predictions give, and that what it says of
// itself and of methods is so.
//
// It reads the database alone, and does not know how it was made.
package validation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/recomputation"
	"github.com/foundation-plr/pipeline/internal/rules"
)

// Verdict is what Validate found, and how far it looked.
type Verdict struct {
	Findings []rules.Finding
	recomputation.Extent
}

// Validate holds a database against the schema, the rules that keys and checks
// of a database would keep, what one table says of another, and the registry
// (nil: not that). No findings means that figures and tables can be made of it.
// An error means that it could not be looked at.
func Validate(ctx context.Context, path string, reg *config.Registry) (*Verdict, error) {
	db, err := duckfile.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer db.Close() //nolint:errcheck // read only: nothing can be lost
	v := &validator{Check: &rules.Check{Ctx: ctx, DB: db}}
	if err := v.schema(); err != nil {
		return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
	}
	if len(v.Findings) > 0 { // the other rules would trip over what is missing
		return &Verdict{Findings: v.Findings}, nil
	}
	if v.said, err = v.readMeta(); err != nil {
		return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
	}
	contents := func() error { return v.Contents(disclosure.PrivacyOf(v.said)) }
	v.again = recomputation.New(v.Check, v.said)
	for _, step := range []func() error{v.Columns, contents, v.again.Measures, v.again.Configurations, v.methods(reg), v.meta, v.again.Comparisons} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
		}
	}
	return &Verdict{v.Findings, v.again.Extent}, nil
}

type validator struct {
	*rules.Check
	said  map[string]string // the table meta
	again *recomputation.Recomputation
}

// readMeta is what the table meta says, by key.
func (v *validator) readMeta() (all map[string]string, err error) {
	rows, err := v.DB.QueryContext(v.Ctx, "SELECT key, value FROM meta")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = map[string]string{}
	for rows.Next() {
		var key, value sql.NullString // NULL is a finding of its own
		if err := rows.Scan(&key, &value); err != nil {
			return nil, err
		}
		all[key.String] = value.String
	}
	return all, rows.Err()
}
