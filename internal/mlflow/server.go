package mlflow

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// ErrUnreachable is wrapped when a tracking server does not answer, or answers
// that it cannot now.
var ErrUnreachable = errors.New("the tracking server cannot be reached")

// server is a tracking server, asked over REST.
type server struct {
	url     string
	client  *http.Client
	login   func(*http.Request)
	scratch string
	wait    func() backoff.BackOff // between tries
	lasting sync.Map               // place of artifacts → *lasting
	quiet   time.Duration          // how long an answer may pause
}

const (
	// pageRuns is how many runs are asked for at once: at some 10 kB each, of
	// params mostly, an answer has 5 MB. MLflow allows 50,000.
	pageRuns = 500
	// pageExperiments is MLflow's own default.
	pageExperiments = 1000
	// maxAnswer bounds an answer that is not an artifact: 128 kB for each run of a
	// page, of which some 10 kB are usual. A param may have 8,000 characters and a
	// run a hundred of them: of such runs fewer are asked for at once.
	maxAnswer = 64 << 20
	// maxItems bounds what an answer lists, at MLflow's own limit of a page: three
	// bytes of JSON are a hundred times as much in memory.
	maxItems = 50_000
	// A listing ends after so many pages and bytes: 200,000 runs of 10 kB, ten times
	// the largest store that was measured, also where pages are small.
	maxPages   = 10_000
	maxListing = 2 << 30
	// tries is how often a request is sent in all. With waits of half a second,
	// growing by half each time, a server has six seconds to come back, and
	// longer where it says so (Retry-After).
	tries = 6
	// answerTimeout bounds the wait for the head of an answer, and for more of it.
	// A server that has to fetch an artifact first sends it when it has all of it.
	answerTimeout = 2 * time.Minute
	// maxRetryAfter bounds what a server may ask to wait.
	maxRetryAfter = time.Minute
	// maxRedirects is what net/http itself allows.
	maxRedirects = 10
)

func openServer(ctx context.Context, l Location, o Options) (*server, error) {
	getenv := o.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	s := &server{url: l.URL, login: credentials(getenv, l.user), scratch: o.Scratch, wait: o.wait, quiet: answerTimeout}
	if s.wait == nil {
		s.wait = func() backoff.BackOff { return backoff.NewExponentialBackOff() }
	}
	settings, err := tlsSettings(getenv)
	if err != nil {
		return nil, fmt.Errorf("tracking server %s: %w", s.url, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = settings
	transport.ResponseHeaderTimeout = answerTimeout
	s.client = &http.Client{Transport: transport, CheckRedirect: follow}
	// Whatever is wrong with the place or the credentials shows here.
	if _, err := s.Experiments(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// credentials adds what MLflow's client would: user and password from the
// environment, else a token, else what stands in the URL.
func credentials(getenv func(string) string, inURL *url.Userinfo) func(*http.Request) {
	name, password, token := getenv("MLFLOW_TRACKING_USERNAME"), getenv("MLFLOW_TRACKING_PASSWORD"), getenv("MLFLOW_TRACKING_TOKEN")
	return func(r *http.Request) {
		switch {
		case name != "" && password != "":
			r.SetBasicAuth(name, password)
		case token != "":
			r.Header.Set("Authorization", "Bearer "+token)
		case inURL != nil:
			password, _ := inURL.Password()
			r.SetBasicAuth(inURL.Username(), password)
		}
	}
}

func tlsSettings(getenv func(string) string) (*tls.Config, error) {
	const insecure, roots, own = "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	switch text := strings.ToLower(getenv(insecure)); text {
	case "", "false", "0":
	case "true", "1":
		settings.InsecureSkipVerify = true
	default:
		return nil, fmt.Errorf("%s is %q; accepted are true and false", insecure, text)
	}
	if file := getenv(roots); file != "" {
		if settings.InsecureSkipVerify {
			return nil, fmt.Errorf("%s and %s contradict each other: unset one", insecure, roots)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", roots, err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("%s: %s holds no certificate in PEM form", roots, file)
		}
	}
	if file := getenv(own); file != "" {
		// One file with both, as for MLflow's client.
		pair, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", own, file, err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return settings, nil
}

// elsewhereError says that a server sends requests to another address by a redirect
// that loses what they ask.
type elsewhereError struct{ address string }

func (e *elsewhereError) Error() string {
	return "redirects requests to " + e.address + ": give the address that it answers at itself"
}

var errRedirects = fmt.Errorf("it redirects more than %d times", maxRedirects)

// follow decides about a redirect. Credentials are for the server that was named:
// net/http would also send them to other ports and subdomains of its host, and
// unencrypted from https to http. So would it the address with names of the store.
func follow(r *http.Request, via []*http.Request) error {
	first := via[0]
	if len(via) >= maxRedirects {
		return errRedirects
	}
	if r.Method != first.Method {
		return &elsewhereError{r.URL.Scheme + "://" + r.URL.Host}
	}
	if origin(r.URL) != origin(first.URL) {
		r.Header.Del("Authorization")
		r.Header.Del("Referer")
	}
	return nil
}

// origin is who gets what is sent to a URL.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// String returns the server's URL without user and password.
func (s *server) String() string { return s.url }

// Dirs returns none: artifacts are on the server.
func (s *server) Dirs() []string { return nil }

// Close closes the connections.
func (s *server) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// refusal is an answer other than success.
type refusal struct {
	status int
	code   string // MLflow's error_code, "" if it gave none
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("answers %d %s", r.status, http.StatusText(r.status))
	if r.code != "" {
		text += " (" + r.code + ")"
	}
	switch r.status {
	case http.StatusUnauthorized:
		text += "; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to what it accepts"
	case http.StatusForbidden:
		text += "; the user may lack the permission, or the server does not accept this host name (mlflow server --allowed-hosts)"
	}
	return text
}

// passing says whether a server may answer otherwise soon.
func passing(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// errorCode is what MLflow's error codes look like: nothing else of an answer
// gets into a message, because it may repeat names of the store.
var errorCode = regexp.MustCompile(`^[A-Z_]{1,64}$`)

// refuse reads an answer other than success.
func refuse(r *http.Response) error {
	var answer struct {
		Code string `json:"error_code"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err == nil && json.Unmarshal(body, &answer) == nil && !errorCode.MatchString(answer.Code) {
		answer.Code = ""
	}
	refused := &refusal{r.StatusCode, answer.Code}
	if passing(r.StatusCode) {
		return fmt.Errorf("%w: it %w", ErrUnreachable, refused)
	}
	return refused
}

// send sends a request until the server answers with what take accepts. Errors
// of take are final unless they wrap ErrUnreachable.
func (s *server) send(ctx context.Context, request func() (*http.Request, error), take func(*http.Response) error) error {
	again := func() (struct{}, error) {
		none := struct{}{}
		r, err := request()
		if err != nil {
			return none, backoff.Permanent(err)
		}
		s.login(r)
		one, cancel := context.WithCancel(ctx)
		defer cancel()
		answer, err := s.client.Do(r.WithContext(one))
		if err != nil {
			return none, unreachable(ctx, err)
		}
		defer answer.Body.Close()
		answer.Body = &flow{ReadCloser: answer.Body, quiet: s.quiet, cancel: cancel}
		if err = take(answer); err == nil || errors.Is(err, ErrUnreachable) {
			if seconds, bad := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil && bad == nil && seconds > 0 {
				return none, &busy{err, time.Duration(seconds) * time.Second}
			}
			return none, err
		}
		return none, backoff.Permanent(err)
	}
	wait := &patience{BackOff: s.wait()}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		none, err := again()
		wait.asked = 0
		var b *busy
		if errors.As(err, &b) {
			wait.asked = min(b.wait, maxRetryAfter)
		}
		return none, err
	}, backoff.WithBackOff(wait), backoff.WithMaxTries(tries))
	var permanent *backoff.PermanentError
	if errors.As(err, &permanent) {
		err = permanent.Unwrap()
	}
	if err != nil {
		return fmt.Errorf("tracking server %s: %w", s.url, err)
	}
	return nil
}

// flow is the body of an answer. Reading it ends when nothing comes for a while:
// there is no other end to a connection that stays open and silent.
type flow struct {
	io.ReadCloser
	quiet  time.Duration
	cancel context.CancelFunc
	silent atomic.Bool
}

func (b *flow) Read(p []byte) (int, error) {
	// Only while it is waited for: the time that a disk takes is not the server's.
	timer := time.AfterFunc(b.quiet, func() {
		b.silent.Store(true)
		b.cancel()
	})
	n, err := b.ReadCloser.Read(p)
	timer.Stop()
	if err != nil && err != io.EOF && b.silent.Load() {
		err = fmt.Errorf("its answer does not go on for %s", b.quiet)
	}
	return n, err
}

// busy is an answer that says how long to wait.
type busy struct {
	error
	wait time.Duration
}

func (b *busy) Unwrap() error { return b.error }

// patience waits as long as a server asked, else as long as it would.
type patience struct {
	backoff.BackOff
	asked time.Duration
}

func (p *patience) NextBackOff() time.Duration { return max(p.BackOff.NextBackOff(), p.asked) }

// unreachable is an error of the transport. It loses the URL, which the caller
// names, and becomes final when trying again cannot help.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return backoff.Permanent(ctx.Err())
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	var unknown *tls.CertificateVerificationError
	if errors.As(err, &unknown) {
		return backoff.Permanent(fmt.Errorf("%w; give the certificate of its authority in MLFLOW_TRACKING_SERVER_CERT_PATH", err))
	}
	var elsewhere *elsewhereError
	if errors.As(err, &elsewhere) || errors.Is(err, errRedirects) {
		return backoff.Permanent(err)
	}
	// What net/http cannot read of an answer it quotes.
	if text := quotation.ReplaceAllString(err.Error(), `"…"`); text != err.Error() {
		err = errors.New(text)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// quotation is a string as %q has it.
var quotation = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// errLong is wrapped when an answer has more than maxAnswer.
var errLong = fmt.Errorf("is longer than %d MB", maxAnswer>>20)

// ask sends a request of the REST API and reads the answer, of which it returns the
// length: a POST when there is a body, else a GET.
func (s *server) ask(ctx context.Context, endpoint string, query url.Values, body, answer any) (length int, err error) {
	var data []byte
	if body != nil {
		if data, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	err = s.send(ctx, func() (*http.Request, error) {
		method := http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
		target := s.url + "/api/2.0/mlflow/" + endpoint
		if query != nil {
			target += "?" + query.Encode()
		}
		r, err := http.NewRequest(method, target, bytes.NewReader(data))
		if err == nil {
			r.Header.Set("Content-Type", "application/json")
		}
		return r, err
	}, func(r *http.Response) error {
		if r.StatusCode != http.StatusOK {
			return refuse(r)
		}
		limited := &io.LimitedReader{R: r.Body, N: maxAnswer + 1}
		data, err := io.ReadAll(limited)
		switch {
		case err != nil:
			return unreachable(ctx, err)
		case limited.N <= 0:
			return fmt.Errorf("its answer to %s %w: this is no list of a study's", endpoint, errLong)
		}
		length = len(data)
		if err := json.Unmarshal(data, answer); err != nil {
			// The text of the error may repeat values.
			return fmt.Errorf("its answer to %s is not what an MLflow server gives; is something else at this address", endpoint)
		}
		return nil
	})
	return length, err
}

// paged asks for page after page. next sends one request and returns the token
// of the page after it and how long the answer was.
func paged(next func(token string) (string, int, error)) error {
	seen := map[string]bool{}
	total := 0
	for token := ""; ; {
		var length int
		var err error
		if token, length, err = next(token); err != nil || token == "" {
			return err
		}
		if seen[token] {
			return errors.New("the tracking server gives the same page again and again")
		}
		seen[token] = true
		if total += length; len(seen) >= maxPages || total > maxListing {
			return fmt.Errorf("the tracking server lists without end: %d pages of %d MB in all, and more to come; is something else at this address", len(seen), total>>20)
		}
	}
}

// list is what an answer lists.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(data []byte) error {
	*l = nil // as of any other slice: what an answer says twice counts once
	d := json.NewDecoder(bytes.NewReader(data))
	begin, err := d.Token()
	if err != nil || begin == nil {
		return err
	}
	if begin != json.Delim('[') {
		return errors.New("no list")
	}
	for d.More() {
		if len(*l) >= maxItems {
			return fmt.Errorf("it lists more than %d things at once", maxItems)
		}
		var item T
		if err := d.Decode(&item); err != nil {
			return err
		}
		*l = append(*l, item)
	}
	return nil
}

// wireInt is an int64 as servers write it: a number, or in older protocols a string.
type wireInt int64

func (n *wireInt) UnmarshalJSON(data []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(data), `"`), 10, 64)
	if err != nil && string(data) != "null" {
		return err
	}
	*n = wireInt(v)
	return nil
}

// wireFloat is a metric's value: a number, or "NaN", "Infinity", "-Infinity".
type wireFloat float64

func (f *wireFloat) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*f = wireFloat(math.NaN())
		return nil
	}
	v, err := strconv.ParseFloat(strings.Trim(string(data), `"`), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return err
	}
	*f = wireFloat(unclamped(v)) // a server on SQLite gives what stands there
	return nil
}

type wireValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func valuesOf(list []wireValue) map[string]string {
	values := map[string]string{}
	for _, v := range list {
		values[v.Key] = v.Value
	}
	return values
}

func (s *server) Experiments(ctx context.Context) ([]Experiment, error) {
	var found []Experiment
	err := paged(func(token string) (string, int, error) {
		var answer struct {
			Experiments list[struct {
				ID    string      `json:"experiment_id"`
				Name  string      `json:"name"`
				Stage string      `json:"lifecycle_stage"`
				Tags  []wireValue `json:"tags"`
			}] `json:"experiments"`
			Next string `json:"next_page_token"`
		}
		length, err := s.ask(ctx, "experiments/search", nil, map[string]any{"max_results": pageExperiments, "view_type": "ALL", "page_token": token}, &answer)
		for _, w := range answer.Experiments {
			e := Experiment{ID: w.ID, Name: w.Name, tags: valuesOf(w.Tags)}
			if e.Lifecycle, e.Err = parseLifecycle(w.Stage); e.Err != nil {
				e.Err = fmt.Errorf("experiment %s %w", e.ID, e.Err)
			}
			found = append(found, e)
		}
		return answer.Next, length, err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Experiment) int { return strings.Compare(a.ID, b.ID) })
	slices.SortStableFunc(found, activeFirst)
	return found, nil
}

func (s *server) Runs(ctx context.Context, e Experiment) ([]Run, error) {
	var found []Run
	most := pageRuns // at once
	err := paged(func(token string) (string, int, error) {
		var answer struct {
			Runs list[struct {
				Info struct {
					ID       string  `json:"run_id"`
					UUID     string  `json:"run_uuid"` // of old servers
					Name     string  `json:"run_name"`
					Status   string  `json:"status"`
					Stage    string  `json:"lifecycle_stage"`
					Start    wireInt `json:"start_time"`
					End      wireInt `json:"end_time"`
					Artifact string  `json:"artifact_uri"`
				} `json:"info"`
				Data struct {
					Metrics []struct {
						Key   string    `json:"key"`
						Value wireFloat `json:"value"`
						Time  wireInt   `json:"timestamp"`
						Step  wireInt   `json:"step"`
					} `json:"metrics"`
					Params []wireValue `json:"params"`
					Tags   []wireValue `json:"tags"`
				} `json:"data"`
			}] `json:"runs"`
			Next string `json:"next_page_token"`
		}
		search := func() (int, error) {
			return s.ask(ctx, "runs/search", nil, map[string]any{
				"experiment_ids": []string{e.ID}, "run_view_type": "ALL", "max_results": most, "page_token": token,
			}, &answer)
		}
		length, err := search()
		for errors.Is(err, errLong) && most > 1 {
			most = max(1, most/8)
			length, err = search()
		}
		for _, w := range answer.Runs {
			r := Run{
				ID: cmp.Or(w.Info.ID, w.Info.UUID), Experiment: e.ID, Name: w.Info.Name, ArtifactURI: w.Info.Artifact,
				Start: int64(w.Info.Start), End: int64(w.Info.End),
				data: &runData{params: valuesOf(w.Data.Params), tags: valuesOf(w.Data.Tags), metrics: map[string]Metric{}},
			}
			for _, m := range w.Data.Metrics {
				r.data.metrics[m.Key] = Metric{float64(m.Value), int64(m.Step), int64(m.Time)}
			}
			r.judge(w.Info.Status, w.Info.Stage)
			if r.Name == "" && r.Err == nil {
				r.Name = r.data.tags[runNameTag]
			}
			found = append(found, r)
		}
		return answer.Next, length, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the runs of experiment %s: %w", e.ID, err)
	}
	slices.SortFunc(found, func(a, b Run) int { return strings.Compare(a.ID, b.ID) })
	// A run that ends while pages are turned may stand on two of them.
	return slices.CompactFunc(found, func(a, b Run) bool { return a.ID == b.ID }), nil
}

func (s *server) Params(_ context.Context, r Run, names ...string) (map[string]string, error) {
	return chosen(r.data.params, names), nil
}

func (s *server) Tags(_ context.Context, r Run, names ...string) (map[string]string, error) {
	return chosen(r.data.tags, names), nil
}

func (s *server) Metrics(_ context.Context, r Run, names ...string) (map[string]Metric, error) {
	return chosen(r.data.metrics, names), nil
}

func (s *server) ExperimentTag(_ context.Context, e Experiment, key string) (string, bool, error) {
	v, ok := e.tags[key]
	return v, ok, nil
}

func (s *server) Artifacts(ctx context.Context, r Run, dir string) ([]Artifact, error) {
	found := []Artifact{}
	err := paged(func(token string) (string, int, error) {
		query := url.Values{"run_id": {r.ID}, "path": {dir}}
		if token != "" {
			query.Set("page_token", token)
		}
		var answer struct {
			Files list[struct {
				Path  string   `json:"path"`
				IsDir bool     `json:"is_dir"`
				Size  *wireInt `json:"file_size"`
			}] `json:"files"`
			Next string `json:"next_page_token"`
		}
		length, err := s.ask(ctx, "artifacts/list", query, nil, &answer)
		for _, w := range answer.Files {
			// A file itself, asked for as a directory, lists itself.
			if w.IsDir || path.Dir(w.Path) != path.Clean(dir) || !fs.ValidPath(w.Path) {
				continue
			}
			a := Artifact{Name: w.Path, Size: -1}
			if w.Size != nil {
				a.Size = int64(*w.Size)
			}
			found = append(found, a)
		}
		return answer.Next, length, err
	})
	var refused *refusal
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return nil, fmt.Errorf("run %s: %w: %w", r.ID, ErrNoArtifacts, err)
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: artifacts: %w", r.ID, err)
	}
	slices.SortFunc(found, func(a, b Artifact) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}
