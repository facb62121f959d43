package mlflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// note stands beside a download and says of what file it is. A download is used
// as long as all of it still holds.
type note struct {
	Size     int64  `json:"size"` // as the server listed it, -1 if it did not
	End      int64  `json:"end"`  // of the run
	ETag     string `json:"etag"` // "" if the server gave none
	Complete bool   `json:"complete"`
}

// download is a file on its way.
type download struct {
	path string // of the complete file; .part and .json stand beside it
	note note
}

// Fetch downloads an artifact into Options.Scratch. What was downloaded before
// is used again if size, end of the run and the server's ETag are the same, and
// an interrupted download goes on where it was. Names in the directory are
// digests: they tell nothing of server, run or file.
func (s *server) Fetch(ctx context.Context, r Run, a Artifact) (string, error) {
	if s.scratch == "" {
		return "", errors.New("there is no directory to download artifacts to")
	}
	fail := func(err error) (string, error) { return "", fmt.Errorf("run %s: download artifact: %w", r.ID, err) }
	if err := os.MkdirAll(s.scratch, 0o700); err != nil {
		return fail(err)
	}
	name := sha256.Sum256([]byte(s.url + "\x00" + r.ID + "\x00" + a.Name))
	d := &download{path: filepath.Join(s.scratch, hex.EncodeToString(name[:]))}
	if err := d.recall(note{Size: a.Size, End: r.End}); err != nil {
		return fail(err)
	}
	err := s.receive(ctx, d, s.url+"/get-artifact?"+url.Values{"path": {a.Name}, "run_id": {r.ID}, "run_uuid": {r.ID}}.Encode())
	var refused *refusal
	// A server may serve artifacts by its proxy only.
	if below, ok := strings.CutPrefix(r.ArtifactURI, "mlflow-artifacts:/"); ok && !strings.HasPrefix(below, "/") &&
		errors.As(err, &refused) && (refused.status == http.StatusNotFound || refused.status == http.StatusMethodNotAllowed || refused.status == http.StatusNotImplemented) {
		err = s.receive(ctx, d, s.url+"/api/2.0/mlflow-artifacts/artifacts/"+escapePath(below+"/"+a.Name))
	}
	if err != nil {
		return fail(err)
	}
	return d.path, nil
}

func escapePath(name string) string { return (&url.URL{Path: name}).EscapedPath() }

// recall reads the note of an earlier download and drops what is of another
// file.
func (d *download) recall(now note) error {
	data, err := os.ReadFile(d.path + ".json")
	if err == nil && json.Unmarshal(data, &d.note) == nil && d.note.Size == now.Size && d.note.End == now.End {
		file := d.path
		if !d.note.Complete {
			file += ".part"
		}
		info, err := os.Stat(file)
		if err == nil && info.Mode().IsRegular() && (!d.note.Complete || now.Size < 0 || info.Size() == now.Size) {
			return nil
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.note = now
	return d.drop()
}

func (d *download) drop() error {
	d.note.ETag, d.note.Complete = "", false
	for _, suffix := range []string{".json", "", ".part"} {
		if err := os.Remove(d.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *download) remember() error {
	data, err := json.Marshal(d.note)
	if err != nil {
		return err
	}
	return os.WriteFile(d.path+".json", data, 0o600)
}

// receive asks for what is missing of a download, as often as the server makes
// progress with it.
func (s *server) receive(ctx context.Context, d *download, target string) error {
	for {
		before := d.length()
		err := s.send(ctx, func() (*http.Request, error) { return d.request(target) }, func(r *http.Response) error { return d.take(ctx, r) })
		if err == nil || !errors.Is(err, ErrUnreachable) || d.length() <= before {
			return err
		}
	}
}

// length is how much of an unfinished download is there.
func (d *download) length() int64 {
	info, err := os.Stat(d.path + ".part")
	if err != nil || d.note.Complete {
		return 0
	}
	return info.Size()
}

// strong says whether two files with the same ETag have the same bytes.
func strong(etag string) bool { return strings.HasPrefix(etag, `"`) }

func (d *download) request(target string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	// Of a compressed answer neither length nor ranges would be the file's.
	r.Header.Set("Accept-Encoding", "identity")
	switch n := d.length(); {
	case d.note.Complete && d.note.ETag != "":
		r.Header.Set("If-None-Match", d.note.ETag)
	case n > 0 && strong(d.note.ETag):
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", n))
		r.Header.Set("If-Range", d.note.ETag)
	}
	return r, nil
}

// take stores an answer. A part stays when the connection breaks.
func (d *download) take(ctx context.Context, r *http.Response) error {
	flags := os.O_WRONLY | os.O_CREATE
	switch r.StatusCode {
	case http.StatusNotModified:
		return nil
	case http.StatusPartialContent:
		if at := fmt.Sprintf("bytes %d-", d.length()); !strings.HasPrefix(r.Header.Get("Content-Range"), at) || r.Header.Get("ETag") != d.note.ETag {
			return errors.Join(fmt.Errorf("%w: it continues an interrupted download elsewhere", ErrUnreachable), d.drop())
		}
		flags |= os.O_APPEND
	case http.StatusOK:
		if err := d.drop(); err != nil {
			return err
		}
		d.note.ETag = r.Header.Get("ETag")
		if err := d.remember(); err != nil {
			return err
		}
		flags |= os.O_TRUNC
	case http.StatusRequestedRangeNotSatisfiable:
		return errors.Join(fmt.Errorf("%w: the file is shorter than before", ErrUnreachable), d.drop())
	default:
		return refuse(r)
	}
	f, err := os.OpenFile(d.path+".part", flags, 0o600)
	if err != nil {
		return err
	}
	disk := &writer{w: f}
	_, err = io.Copy(disk, r.Body)
	if err != nil && disk.err == nil {
		err = unreachable(ctx, err)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n := d.length(); d.note.Size >= 0 && n != d.note.Size {
		return errors.Join(fmt.Errorf("it was listed with %d bytes and %d came; it is being written: try again", d.note.Size, n), d.drop())
	}
	if err := os.Rename(d.path+".part", d.path); err != nil {
		return err
	}
	d.note.Complete = true
	return d.remember()
}

// writer tells errors of the disk from those of the connection.
type writer struct {
	w   io.Writer
	err error
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}
