package analysis

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/zeebo/blake3"
)

// builder fills one document.
type builder struct {
	ctx       context.Context
	db        *sql.DB
	pipelines []config.Pipeline
	doc       *sidecar.Document
	methods   map[methodKey]method
	refits    string // how many refits, in words: "1,000 refits", or "refits"
	oneRefit  bool
	noCodes   bool   // the database holds no risks and codes of single subjects
	rounded   string // decimals to which it holds them, "" for all
	differ    bool   // whether configurations stand on different sets of test subjects
}

// ask puts one question and returns its rows. The question, its arguments, the
// number of rows and their digest are noted in the document under panel.
//
// So every question must return what the document shows and no more: a digest
// over anything else would redraw a figure whose numbers had not changed. For
// the same reason no question selects config_id, which is renumbered when the
// store grows.
func ask[T any](b *builder, panel, query string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	query = strings.Join(strings.Fields(query), " ")
	if args == nil {
		args = []any{}
	}
	wrap := func(err error) error {
		return fmt.Errorf("query of panel %s: %w; the database must be a checkpoint of this version (make one with the target extract)", panel, err)
	}
	rows, err := b.db.QueryContext(b.ctx, query, args...)
	if err != nil {
		return nil, wrap(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, wrap(err)
	}
	digest := newRowDigest(columns)
	cells := make([]any, len(columns))
	targets := make([]any, len(columns))
	for i := range cells {
		targets[i] = &cells[i]
	}
	var out []T
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, wrap(err)
		}
		if err := digest.add(cells); err != nil {
			return nil, wrap(err)
		}
		v, err := scan(rows)
		if err != nil {
			return nil, wrap(err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, wrap(err)
	}
	b.doc.Queries = append(b.doc.Queries, sidecar.Query{
		Panel: panel, SQL: query, Args: args, Rows: len(out), BLAKE3: digest.sum(),
	})
	return out, nil
}

// rowDigest is BLAKE3 over rows in a form that no two answers share: the
// columns' names, then each cell as a tag and its value, texts by length.
// Integers of all widths are one type, and so are all NaNs.
type rowDigest struct {
	h *blake3.Hasher
}

func newRowDigest(columns []string) rowDigest {
	d := rowDigest{blake3.New()}
	d.text('c', strings.Join(columns, ","))
	return d
}

func (d rowDigest) add(cells []any) error {
	d.h.Write([]byte{'r'})
	for i, cell := range cells {
		switch v := cell.(type) {
		case nil:
			d.h.Write([]byte{'0'})
		case bool:
			if v {
				d.word('b', 1)
			} else {
				d.word('b', 0)
			}
		case int32:
			d.word('i', uint64(int64(v)))
		case int64:
			d.word('i', uint64(v))
		case float64:
			if math.IsNaN(v) {
				v = math.NaN()
			}
			d.word('f', math.Float64bits(v))
		case string:
			d.text('s', v)
		default:
			return fmt.Errorf("column %d has a value of type %T, which has no canonical form", i+1, cell)
		}
	}
	return nil
}

func (d rowDigest) word(tag byte, v uint64) {
	d.h.Write(binary.LittleEndian.AppendUint64([]byte{tag}, v))
}

func (d rowDigest) text(tag byte, s string) {
	d.word(tag, uint64(len(s)))
	d.h.Write([]byte(s))
}

func (d rowDigest) sum() string {
	return hex.EncodeToString(d.h.Sum(nil))
}
