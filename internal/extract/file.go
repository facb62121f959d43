package extract

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/renameio/v2"
)

// privateMode lets nobody but the owner read what holds original codes.
const privateMode fs.FileMode = 0o600

// Write puts an *Index, an *Upstream or a *Record at path, whole or not at all,
// readable by its owner only. All are CBOR (RFC 8949): every build reads the index,
// and a checkpoint hundreds of thousands of numbers of records. Equal values give
// equal bytes: struct fields keep their order, maps are sorted by key and no
// number is rounded. The folder must exist.
func Write(path string, v any) (err error) {
	// The draft lies beside path, whatever TMPDIR says: nothing private may ever lie
	// outside the private directory.
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(privateMode))
	if err != nil {
		return fmt.Errorf("write extracted data: %w", err)
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	if err := Encode(f, v); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write extracted data: %w", err)
	}
	return nil
}

// Encode writes what is in a file that Write makes. Of an index it holds one run at a
// time: a large store has a hundred thousand.
func Encode(w io.Writer, v any) error {
	if err := checkFormat(v); err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, fileBuffer)
	var err error
	switch v := v.(type) {
	case *Index:
		err = v.encode(storeEncoding.NewEncoder(out))
	case *Record:
		e := recordEncoding.NewEncoder(out)
		if err = e.Encode(&v.Head); err == nil {
			err = e.Encode(v)
		}
	default:
		err = storeEncoding.NewEncoder(out).Encode(v)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// fileBuffer is large enough that system calls are no part of the time.
const fileBuffer = 64 << 10

// indexHead is what a file of an index begins with. Its runs follow.
type indexHead struct {
	Format     string `json:"format"`
	Experiment string `json:"experiment"`
	Synthetic  bool   `json:"synthetic"`
	Count      int    `json:"count"` // of runs: an index that was cut is none
}

// listedRun is a run as it stands there.
type listedRun struct {
	Run  IndexedRun `json:"run"`
	From References `json:"from,omitempty"`
}

func (x *Index) encode(e *cbor.Encoder) error {
	if err := e.Encode(indexHead{x.Format, x.Experiment, x.Synthetic, len(x.Runs)}); err != nil {
		return err
	}
	for _, run := range x.Runs {
		if err := e.Encode(listedRun{run, x.From[run.RunID]}); err != nil {
			return err
		}
	}
	return nil
}

// Read fills an *Index, an *Upstream, a *Record or its *Head from path. A file of
// another format, an unknown field or anything after the value is an error: a
// half-understood record would publish half a result. Of a file of which a Head is
// wanted no more is read.
func Read(path string, v any) error {
	switch v := v.(type) {
	case *Head:
		return readHead(path, v)
	case *Index:
		return readAll(path, v)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read extracted data: %w", err)
	}
	return read(path, v, decode(data, v))
}

// read says of a file that was decoded, or not, whether it may be used.
func read(path string, v any, err error) error {
	if err != nil {
		err = fmt.Errorf("another version of this program wrote it, or it is damaged; extract again with this version, which writes it anew (%w)", err)
	} else {
		err = checkFormat(v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func decode(data []byte, v any) error {
	record, ok := v.(*Record)
	if !ok {
		return storeDecoding.Unmarshal(data, v)
	}
	rest, err := recordDecoding.UnmarshalFirst(data, &record.Head)
	if err != nil {
		return err
	}
	return recordDecoding.Unmarshal(rest, record)
}

// readAll fills an index.
func readAll(path string, x *Index) error {
	head, err := eachRun(path, func(run listedRun) {
		x.Runs = append(x.Runs, run.Run)
		if len(run.From) > 0 {
			if x.From == nil {
				x.From = map[string]References{}
			}
			x.From[run.Run.RunID] = run.From
		}
	})
	x.Format, x.Experiment, x.Synthetic = head.Format, head.Experiment, head.Synthetic
	return err
}

// EachRun calls each with the runs of a file that holds an index, one after another: of
// a large one most have no pickle. It fails as [Read] does, which may be after some runs.
func EachRun(path string, each func(run IndexedRun)) error {
	_, err := eachRun(path, func(run listedRun) { each(run.Run) })
	return err
}

func eachRun(path string, each func(run listedRun)) (head indexHead, err error) {
	f, err := os.Open(path)
	if err != nil {
		return head, fmt.Errorf("read extracted data: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only: nothing can be lost
	d := storeDecoding.NewDecoder(f)
	if err := read(path, &head, d.Decode(&head)); err != nil {
		return head, err
	}
	for range head.Count {
		var run listedRun
		if err := d.Decode(&run); err != nil {
			return head, read(path, &head, err)
		}
		each(run)
	}
	if err := d.Skip(); err != io.EOF {
		return head, read(path, &head, errors.Join(errors.New("there is more after its last run"), err))
	}
	return head, nil
}

func readHead(path string, head *Head) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read extracted data: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only: nothing can be lost
	return read(path, head, recordDecoding.NewDecoder(f).Decode(head))
}

// Fields go by name. Numbers of a record are finite; what a store says of metrics
// need not be.
var (
	storeEncoding = mode(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		ShortestFloat: cbor.ShortestFloatNone,
		IndefLength:   cbor.IndefLengthForbidden,
	}.EncMode())
	recordEncoding = mode(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		ShortestFloat: cbor.ShortestFloatNone,
		NaNConvert:    cbor.NaNConvertReject,
		InfConvert:    cbor.InfConvertReject,
		IndefLength:   cbor.IndefLengthForbidden,
	}.EncMode())
	storeDecoding = mode(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		MaxArrayElements:  math.MaxInt32, // a store of any size
		MaxMapPairs:       math.MaxInt32,
	}.DecMode())
	recordDecoding = mode(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
		MaxArrayElements:  math.MaxInt32, // a test set, or refits, of any size
	}.DecMode())
)

// mode is of options that are constants: an error is one of this file.
func mode[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func checkFormat(v any) error {
	var got, want string
	switch v := v.(type) {
	case *Index:
		got, want = v.Format, IndexFormat
	case *indexHead:
		got, want = v.Format, IndexFormat
	case *Record:
		got, want = v.Format, RecordFormat
	case *Head:
		got, want = v.Format, RecordFormat
	case *Upstream:
		got, want = v.Format, UpstreamFormat
	default:
		return fmt.Errorf("a %T is neither an index, nor a run record, nor what upstream runs hold", v)
	}
	if got != want {
		return fmt.Errorf("its format is %q, not %q: extract again with this version", got, want)
	}
	return nil
}
