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
	"slices"
	"strconv"
	"strings"
	"sync"
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

// ErrReplaced is wrapped when an artifact is not of the version that it is asked
// for by.
var ErrReplaced = errors.New("the artifact was replaced since the store was looked at; run the build again")

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
	d := &download{path: filepath.Join(s.scratch, Download{r.ID, a.Name}.name(s.url))}
	if err := d.recall(note{Size: a.Size, End: r.End}); err != nil {
		return fail(err)
	}
	err := s.eachPlace(r, a, func(target string) error { return s.receive(ctx, d, target) })
	if err == nil && a.Version != "" && a.Version != d.note.ETag {
		err = ErrReplaced
	}
	if err != nil {
		return fail(err)
	}
	return d.path, nil
}

// Download names an artifact of a run on a server.
type Download struct{ Run, Artifact string }

// name is the name of a download in the scratch directory.
func (d Download) name(server string) string {
	name := sha256.Sum256([]byte(server + "\x00" + d.Run + "\x00" + d.Artifact))
	return hex.EncodeToString(name[:])
}

// Pruned is what Prune removed. The notes beside downloads count as bytes only.
type Pruned struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Prune removes from a scratch directory (see [Options]) what is of no use any
// more: downloads, whole or begun, other than the wanted ones of the store, and
// copies of databases whose makers are gone. No download may be in use meanwhile;
// copies may. With dry nothing is removed.
func Prune(scratch string, l Location, wanted []Download, dry bool) (p Pruned, err error) {
	entries, err := os.ReadDir(scratch)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	keep := map[string]bool{}
	for _, d := range wanted {
		keep[d.name(l.URL)] = true
	}
	for _, e := range entries {
		name := filepath.Join(scratch, e.Name())
		if stem, _, _ := strings.Cut(e.Name(), "."); keep[stem] {
			continue
		}
		free := func() error { return p.remove(name, dry) }
		if isCopy(e.Name()) {
			err = whenAbandoned(name, free)
		} else {
			err = free()
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

// remove removes a file, or a directory with all that is in it.
func (p *Pruned) remove(name string, dry bool) error {
	err := filepath.WalkDir(name, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			if filepath.Ext(name) != ".json" {
				p.Files++
			}
			p.Bytes += info.Size()
		}
		return err
	})
	if dry || err != nil {
		return err
	}
	return os.RemoveAll(name)
}

// eachPlace asks for an artifact where a server may serve it: some do by their
// proxy only.
func (s *server) eachPlace(r Run, a Artifact, ask func(target string) error) error {
	err := ask(s.url + "/get-artifact?" + url.Values{"path": {a.Name}, "run_id": {r.ID}, "run_uuid": {r.ID}}.Encode())
	var refused *refusal
	if below, ok := strings.CutPrefix(r.ArtifactURI, "mlflow-artifacts:/"); ok && !strings.HasPrefix(below, "/") &&
		errors.As(err, &refused) && (refused.status == http.StatusNotFound || refused.status == http.StatusMethodNotAllowed || refused.status == http.StatusNotImplemented) {
		err = ask(s.url + "/api/2.0/mlflow-artifacts/artifacts/" + escapePath(below+"/"+a.Name))
	}
	return err
}

// lasting is whether the ETags of the artifacts of one place mean anything.
type lasting struct {
	sync.Once
	yes bool
	err error
}

// Version is the server's ETag of an artifact. MLflow makes it of the time, the
// size and the path of the file that it sends. Where that file is the artifact, it
// changes with the artifact; where the server keeps artifacts elsewhere (S3, …),
// the file is a copy that it fetched for this one answer, and so is the ETag. An
// artifact of each place is asked for twice to know which it is; of places that
// are never a server's own disk nothing is asked, as each answer would cost the
// server a copy.
func (s *server) Version(ctx context.Context, r Run, a Artifact) (string, error) {
	place := placeOf(r)
	if elsewhere(place) {
		return "", nil
	}
	known, _ := s.lasting.LoadOrStore(place, new(lasting))
	of := known.(*lasting)
	of.Do(func() {
		var tags [2]string
		for i := range tags {
			if tags[i], of.err = s.etag(ctx, r, a); of.err != nil {
				return
			}
		}
		of.yes = tags[0] != "" && tags[0] == tags[1]
	})
	if of.err != nil || !of.yes {
		return "", of.err
	}
	return s.etag(ctx, r, a)
}

// placeOf is what the artifact_uris of a run and its neighbours have in common.
func placeOf(r Run) string {
	place, _, _ := strings.Cut(r.ArtifactURI, "/"+r.ID)
	return place
}

// elsewhere says that a place is no directory of the server.
func elsewhere(place string) bool {
	scheme, _, found := strings.Cut(place, ":")
	return found && !slices.Contains([]string{"mlflow-artifacts", "file", "http", "https"}, scheme)
}

// etag asks for the first byte of an artifact, as Fetch will for all: MLflow
// answers HEAD by other code than GET, with another ETag. It is "" if the server
// gives none, or not the artifact, which Fetch will tell.
func (s *server) etag(ctx context.Context, r Run, a Artifact) (string, error) {
	tag := ""
	err := s.eachPlace(r, a, func(target string) error {
		return s.send(ctx, func() (*http.Request, error) {
			q, err := artifactRequest(target)
			if err == nil {
				q.Header.Set("Range", "bytes=0-0")
			}
			return q, err
		}, func(answer *http.Response) error {
			if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusPartialContent && answer.StatusCode != http.StatusRequestedRangeNotSatisfiable {
				return refuse(answer)
			}
			tag = answer.Header.Get("ETag")
			return nil
		})
	})
	var refused *refusal
	if errors.As(err, &refused) && !errors.Is(err, ErrUnreachable) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("run %s: artifacts: %w", r.ID, err)
	}
	return tag, nil
}

// artifactRequest asks for an artifact as it is: of a compressed answer neither
// length nor ranges nor ETag would be the file's.
func artifactRequest(target string) (*http.Request, error) {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err == nil {
		r.Header.Set("Accept-Encoding", "identity")
	}
	return r, err
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
	r, err := artifactRequest(target)
	if err != nil {
		return nil, err
	}
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
	body := io.Reader(r.Body)
	if d.note.Size >= 0 { // one byte more tells that it is another file; an endless one must not fill the disk
		body = io.LimitReader(body, d.note.Size-d.length()+1)
	}
	_, err = io.Copy(disk, body)
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
		came := strconv.FormatInt(n, 10)
		if n > d.note.Size {
			came = "more"
		}
		return errors.Join(fmt.Errorf("it was listed with %d bytes and %s came; it is being written: try again", d.note.Size, came), d.drop())
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
