package sourcedb

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"math/big"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	pickle "github.com/kisielk/og-rek"
)

// TraceOptions says whose traces the demo file holds.
type TraceOptions struct {
	Subjects []string // codes of the lookup (H001, G001, …); empty: by rule
}

// demoPerGroup is how many subjects the rule takes from each of the three
// groups (highest, lowest, nearest the median outlier fraction) of a class.
const demoPerGroup = 2

// demoWarning stands inside the file: traces are data of persons even without
// their original codes.
const demoWarning = "PRIVATE FILE - DO NOT SHARE"

// privateMode lets nobody but the owner read a person's traces.
const privateMode fs.FileMode = 0o600

// traceProtocol is the oldest pickle protocol that has Python 3's text.
const traceProtocol = 3

// WriteTraces writes the demo traces: a pickle that plain Python opens without
// numpy, {"traces": {code: {"time": […], "pupil_gt": […], "pupil_raw": […],
// "outlier_mask": […], "red_stimulus": […], "blue_stimulus": […],
// "class_label": "control"}}, "metadata": {…}}. A NULL of the database is None:
// pupil_raw has one wherever outlier_mask is 1. The original code is nowhere in
// it. codes translates an original code to its public one, false where it has
// none. Equal contents of the database and equal codes give equal bytes.
//
// Without o.Subjects the file holds, of either class, the two subjects with the
// highest, the two with the lowest and the two with the mean outlier mask
// nearest the median of their class, ties by code; fewer where there are not so
// many.
func WriteTraces(ctx context.Context, sourcePath string, codes func(original string) (string, bool), o TraceOptions, outPath string) error {
	db, err := open(ctx, sourcePath)
	if err != nil {
		return err
	}
	defer db.close()
	source, err := db.subjects(ctx)
	if err != nil {
		return fmt.Errorf("source database %s: %w", sourcePath, err)
	}
	candidates := demoCandidates(source, codes)
	chosen, selection := demoByRule(candidates), "rule"
	if len(o.Subjects) > 0 {
		selection = "configured"
		if chosen, err = demoByCode(candidates, o.Subjects); err != nil {
			return fmt.Errorf("demo traces: %w", err)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("demo traces: no subject of %s has a code and a label; assign codes first", sourcePath)
	}
	var traces pythonDict
	for _, subject := range chosen {
		trace, err := db.trace(ctx, subject)
		if err != nil {
			return fmt.Errorf("demo traces: subject %s: %w", subject.code, err)
		}
		traces.set(subject.code, trace)
	}
	var metadata pythonDict
	metadata.set("format", 1)
	metadata.set("n_subjects", len(chosen))
	metadata.set("selection", selection)
	metadata.set("WARNING", demoWarning)
	var root pythonDict
	root.set("traces", &traces)
	root.set("metadata", &metadata)
	data, err := root.pickle()
	if err != nil {
		return fmt.Errorf("demo traces: %w", err)
	}
	// The draft lies beside the file, whatever TMPDIR says: nothing private may ever
	// lie outside the private directory.
	if err := renameio.WriteFile(outPath, data, privateMode, renameio.IgnoreUmask(), renameio.WithTempDir(filepath.Dir(outPath))); err != nil {
		return fmt.Errorf("demo traces: %w", err)
	}
	return nil
}

// demoSubject is a subject that could be shown.
type demoSubject struct {
	Subject
	code     string
	fraction *big.Rat // mean outlier mask, exact: a tie must be a tie
}

// demoCandidates are the labelled subjects with a code and a mask, by code.
func demoCandidates(source *Contents, codes func(string) (string, bool)) []demoSubject {
	var candidates []demoSubject
	for _, subject := range source.Subjects {
		code, ok := codes(subject.Original)
		if !ok || subject.Outcome == nil || subject.Points == 0 {
			continue
		}
		candidates = append(candidates, demoSubject{
			Subject: subject, code: code,
			fraction: big.NewRat(int64(subject.Masked), int64(subject.Points)),
		})
	}
	slices.SortFunc(candidates, byCode)
	return candidates
}

func byCode(a, b demoSubject) int { return strings.Compare(a.code, b.code) }

func demoByRule(candidates []demoSubject) []demoSubject {
	var chosen []demoSubject
	for outcome := range labelOfOutcome {
		var class []demoSubject // by code, and so are all ties below: the sorts are stable
		for _, c := range candidates {
			if *c.Outcome == outcome {
				class = append(class, c)
			}
		}
		if len(class) == 0 {
			continue
		}
		byFraction := slices.Clone(class)
		slices.SortStableFunc(byFraction, func(a, b demoSubject) int { return a.fraction.Cmp(b.fraction) })
		median := medianFraction(byFraction)
		taken := map[string]bool{}
		take := func(compare func(a, b demoSubject) int) {
			ordered := slices.Clone(class)
			slices.SortStableFunc(ordered, compare)
			left := demoPerGroup
			for _, c := range ordered {
				if left == 0 {
					break
				}
				if !taken[c.code] {
					taken[c.code] = true
					chosen = append(chosen, c)
					left--
				}
			}
		}
		take(func(a, b demoSubject) int { return b.fraction.Cmp(a.fraction) })
		take(func(a, b demoSubject) int { return a.fraction.Cmp(b.fraction) })
		take(func(a, b demoSubject) int {
			return distance(a.fraction, median).Cmp(distance(b.fraction, median))
		})
	}
	slices.SortFunc(chosen, func(a, b demoSubject) int {
		return cmp.Or(cmp.Compare(*a.Outcome, *b.Outcome), byCode(a, b))
	})
	return chosen
}

func distance(a, b *big.Rat) *big.Rat {
	d := new(big.Rat).Sub(a, b)
	return d.Abs(d)
}

// medianFraction is the mean of the two middle values where their number is even.
func medianFraction(ascending []demoSubject) *big.Rat {
	n := len(ascending)
	sum := new(big.Rat).Add(ascending[(n-1)/2].fraction, ascending[n/2].fraction)
	return sum.Quo(sum, big.NewRat(2, 1))
}

// demoByCode keeps the order of the settings.
func demoByCode(candidates []demoSubject, wanted []string) ([]demoSubject, error) {
	byName := map[string]demoSubject{}
	for _, c := range candidates {
		byName[c.code] = c
	}
	var chosen []demoSubject
	var unknown []string
	for i, code := range wanted {
		c, ok := byName[code]
		switch {
		case slices.Contains(wanted[:i], code):
			return nil, fmt.Errorf("subject %s is listed twice", code)
		case !ok:
			unknown = append(unknown, code)
		default:
			chosen = append(chosen, c)
		}
	}
	if unknown != nil {
		return nil, fmt.Errorf("no labelled subject of the source database has the code %s; give codes of the lookup, or none for the default choice",
			strings.Join(unknown, ", "))
	}
	return chosen, nil
}

// traceQuery orders by every column that it reads, so that rows which share a
// time cannot change places.
const traceQuery = `SELECT CAST(time AS DOUBLE), CAST(pupil_gt AS DOUBLE), CAST(pupil_raw AS DOUBLE),
  CAST(outlier_mask AS INTEGER), CAST(Red AS DOUBLE), CAST(Blue AS DOUBLE)
FROM source.main.%s WHERE CAST(subject_code AS VARCHAR) = ? ORDER BY ALL`

func (s *connection) trace(ctx context.Context, subject demoSubject) (*pythonDict, error) {
	rows, err := s.conn.QueryContext(ctx, fmt.Sprintf(traceQuery, subject.Table), subject.Original)
	if err != nil {
		return nil, redactQuery(err)
	}
	defer rows.Close()
	var time, groundTruth, raw, mask, red, blue []any
	for rows.Next() {
		var t, gt, r, redLight, blueLight sql.NullFloat64
		var masked sql.NullInt64
		if err := rows.Scan(&t, &gt, &r, &masked, &redLight, &blueLight); err != nil {
			return nil, redactQuery(err)
		}
		if !t.Valid {
			return nil, fmt.Errorf("a row of table %s has no time", subject.Table)
		}
		time = append(time, t.Float64)
		groundTruth = append(groundTruth, orNone(gt.Float64, gt.Valid))
		raw = append(raw, orNone(r.Float64, r.Valid))
		mask = append(mask, orNone(masked.Int64, masked.Valid))
		red = append(red, orNone(redLight.Float64, redLight.Valid))
		blue = append(blue, orNone(blueLight.Float64, blueLight.Valid))
	}
	if err := rows.Err(); err != nil {
		return nil, redactQuery(err)
	}
	var trace pythonDict
	trace.set("time", time)
	trace.set("pupil_gt", groundTruth)
	trace.set("pupil_raw", raw)
	trace.set("outlier_mask", mask)
	trace.set("red_stimulus", red)
	trace.set("blue_stimulus", blue)
	trace.set("class_label", labelOfOutcome[*subject.Outcome])
	return &trace, nil
}

func orNone[T float64 | int64](value T, valid bool) any {
	if !valid {
		return pickle.None{}
	}
	return value
}

// Opcodes of the pickle protocol that frame dictionaries and lists, see
// pythonDict.
const (
	opProto     = 0x80 // followed by the protocol's number
	opMark      = '('
	opEmptyDict = '}'
	opSetItems  = 'u'
	opEmptyList = ']'
	opAppends   = 'e'
	opStop      = '.'
)

// pythonDict is a dictionary with an order. The encoder's own dictionaries come
// out in random order and its lists in opcodes of protocol 0, which strict
// readers refuse; so only what stands in them is left to it. Its streams hold
// no memo references and can be joined.
type pythonDict struct {
	keys   []string
	values []any
}

func (d *pythonDict) set(key string, value any) {
	d.keys = append(d.keys, key)
	d.values = append(d.values, value)
}

func (d *pythonDict) pickle() ([]byte, error) {
	data, err := d.appendTo([]byte{opProto, traceProtocol})
	return append(data, opStop), err
}

func (d *pythonDict) appendTo(data []byte) ([]byte, error) {
	data = append(data, opEmptyDict, opMark)
	for i, key := range d.keys {
		var err error
		if data, err = appendItems(data, key); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		switch value := d.values[i].(type) {
		case *pythonDict:
			data, err = value.appendTo(data)
		case []any:
			data, err = appendItems(append(data, opEmptyList, opMark), value...)
			data = append(data, opAppends)
		default:
			data, err = appendItems(data, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return append(data, opSetItems), nil
}

// appendItems adds the opcodes of values without the frame that the encoder
// puts around each: two bytes that name the protocol, and the stop.
func appendItems(data []byte, values ...any) ([]byte, error) {
	var stream bytes.Buffer
	encoder := pickle.NewEncoderWithConfig(&stream, &pickle.EncoderConfig{Protocol: traceProtocol})
	for _, value := range values {
		stream.Reset()
		if err := encoder.Encode(value); err != nil {
			return nil, err
		}
		opcodes := stream.Bytes()
		last := len(opcodes) - 1
		if last < 2 || opcodes[0] != opProto || opcodes[last] != opStop {
			return nil, fmt.Errorf("the pickle encoder framed a %T in an unknown way", value)
		}
		data = append(data, opcodes[2:last]...)
	}
	return data, nil
}
