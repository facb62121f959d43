package score

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"github.com/foundation-plr/pipeline/metrics"
)

// extended is a number of JSON, or an infinity as text.
type extended float64

func (n extended) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(n), 0) {
		return json.Marshal(short(float64(n)))
	}
	return json.Marshal(float64(n))
}

// scored is a measure in JSON: an estimate or the reason why there is none.
type scored struct {
	Undefined   metrics.Reason `json:"undefined,omitempty"`
	Estimate    *extended      `json:"estimate,omitempty"`
	Lower       *extended      `json:"ci_lower,omitempty"`
	Upper       *extended      `json:"ci_upper,omitempty"`
	Method      string         `json:"ci_method,omitempty"`
	NoInterval  metrics.Reason `json:"ci_undefined,omitempty"`
	Explanation string         `json:"note,omitempty"`
}

func scoredOf(r metrics.Result) scored {
	if !r.Defined() {
		return scored{Undefined: r.Undefined}
	}
	pointer := func(v float64) *extended { n := extended(v); return &n }
	s := scored{Estimate: pointer(r.Value), Explanation: r.Note}
	if i := r.Interval; i.Defined() {
		s.Lower, s.Upper, s.Method = pointer(i.Lower), pointer(i.Upper), i.Method
	} else {
		s.NoInterval = i.Undefined
	}
	return s
}

// measures keeps the order of the table, which a map would lose.
type measures []metrics.Row

func (m measures) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, row := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(row.Measure)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(scoredOf(row.Result))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", row.Measure, err)
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// WriteJSON writes the scores for programs.
func (s *Scores) WriteJSON(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		N        int      `json:"n"`
		Events   int      `json:"events"`
		Measures measures `json:"measures"`
	}{s.N, s.Events, s.Rows})
}
