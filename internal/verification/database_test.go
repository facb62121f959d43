package verification_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/internal/studytest"
)

func TestMain(m *testing.M) { studytest.Main(m) }

// The first difference is named by table, row and column. Whether there is one
// is what the digest of the contents says, too.
func TestCompare(t *testing.T) {
	was := studytest.SharedDatabase(t)
	whole, err := os.ReadFile(was)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := duckfile.Digest(t.Context(), was)
	if err != nil {
		t.Fatal(err)
	}
	exactly := func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }
	nearly := func(a, b float64) bool { return a == b || math.Abs(a-b) < 1e-9 }
	another := fmt.Sprintf("tables, the %d.: none, now zzz", len(schema.Tables)+1)
	for _, c := range []struct{ change, exact, near string }{
		// In another order, and with other bytes.
		{`CREATE TABLE other AS SELECT * FROM predictions ORDER BY subject_code DESC; DELETE FROM predictions; INSERT INTO predictions SELECT * FROM other; DROP TABLE other`, "", ""},
		{`UPDATE essential_metrics SET auroc = auroc + 1e-12 WHERE config_id = 2`, "table essential_metrics, row config_id=2, column auroc", ""},
		{`UPDATE essential_metrics SET auroc = auroc + 1e-3 WHERE config_id = 2`, "table essential_metrics, row config_id=2, column auroc", "table essential_metrics, row config_id=2, column auroc"},
		{`UPDATE predictions SET y_true = 1 - y_true WHERE config_id = 1 AND prediction_id = 3`, "table predictions, row config_id=1 subject_code=", "table predictions, row config_id=1 subject_code="},
		{`UPDATE stratos_metrics SET estimate = NULL WHERE config_id = 1 AND measure = 'auroc' AND estimand = 'over_models'`,
			"table stratos_metrics, row config_id=1 estimand=over_models measure=auroc, column estimate", "table stratos_metrics, row config_id=1 estimand=over_models measure=auroc, column estimate"},
		{`DELETE FROM meta WHERE key = 'schema_version'`, "table meta, row key=schema_version: there, now missing", "table meta, row key=schema_version: there, now missing"},
		{`INSERT INTO meta VALUES ('zzz', 'x')`, "table meta, row key=zzz: missing, now there", "table meta, row key=zzz: missing, now there"},
		{`INSERT INTO meta VALUES ('aaa', 'x')`, "table meta, row key=aaa: missing, now there", "table meta, row key=aaa: missing, now there"},
		{`UPDATE provenance SET bytes = bytes + 1 WHERE config_id = 2`, "table provenance, row config_id=2, column bytes", "table provenance, row config_id=2, column bytes"},
		{`CREATE TABLE zzz (a INTEGER)`, another, another},
		{`ALTER TABLE runs RENAME COLUMN reason TO why`, "table runs, columns, the 4.: reason VARCHAR, now why VARCHAR", "table runs, columns, the 4.: reason VARCHAR, now why VARCHAR"},
		{`DROP VIEW metrics_aggregate`, "views, the 2.: main.metrics_aggregate", "views, the 2.: main.metrics_aggregate"},
	} {
		now := filepath.Join(t.TempDir(), "now.db")
		if err := os.WriteFile(now, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		studytest.Change(t, now, c.change)
		for _, how := range []struct {
			near func(a, b float64) bool
			want string
		}{{exactly, c.exact}, {nearly, c.near}} {
			d, err := duckfile.Compare(t.Context(), was, now, schema.Key, how.near)
			if err != nil {
				t.Errorf("%s: %v", c.change, err)
				continue
			}
			got := ""
			if d != nil {
				got = d.Where + ": " + d.Was + ", now " + d.Now
			}
			if !strings.HasPrefix(got, how.want) || (got == "") != (how.want == "") {
				t.Errorf("%s: %q, want %q", c.change, got, how.want)
			}
		}
		if other, err := duckfile.Digest(t.Context(), now); err != nil || (other == digest) != (c.exact == "") {
			t.Errorf("%s: the digest is the same: %v, %v", c.change, other == digest, err)
		}
	}
	if _, err := duckfile.Compare(t.Context(), was, filepath.Join(t.TempDir(), "none"), schema.Key, exactly); err == nil {
		t.Error("a missing database is no error")
	}
}
