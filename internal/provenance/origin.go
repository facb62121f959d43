package provenance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Origin is where a classification run came from in one of the stages before it,
// as the public database says.
type Origin struct {
	Stage  string `json:"stage"`
	Run    string `json:"run_id,omitempty"` // "" where the store has none that the database could name
	State  string `json:"state"`
	Agrees *bool  `json:"agrees,omitempty"` // nil: nothing to compare
}

// originsOf asks for the origins of a run in the order of the stages.
func originsOf(ctx context.Context, db *sql.DB, id string) (all []Origin, err error) {
	rows, err := db.QueryContext(ctx, `SELECT stage, coalesce(from_run_id, ''), state, agrees FROM lineage WHERE run_id = ?
ORDER BY list_position(['outlier_detection', 'imputation', 'featurization'], stage)`, id)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var o Origin
		if err := rows.Scan(&o.Stage, &o.Run, &o.State, &o.Agrees); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

// String is the origin as a line for people.
func (o Origin) String() string {
	text := strings.ReplaceAll(o.Stage, "_", " ")
	if o.Run != "" {
		text += " run " + o.Run
	}
	text = fmt.Sprintf("%s: %s", text, strings.ReplaceAll(o.State, "_", " "))
	if o.Agrees != nil && !*o.Agrees {
		text += ", of other methods than the run says"
	}
	return text
}
