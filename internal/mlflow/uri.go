package mlflow

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Accepted says which tracking URIs can be read; errors end with it.
const Accepted = "accepted are a directory, file:PATH, file:///PATH, sqlite:///PATH, http://HOST and https://HOST"

// Kind is what keeps a store.
type Kind int

// Kinds of stores.
const (
	Nowhere   Kind = iota
	Directory      // a file store
	Database       // SQLite
	Server         // REST
)

// Location is a tracking URI taken apart.
type Location struct {
	Kind Kind
	Path string // of Directory and Database, perhaps relative
	URL  string // of Server: without user and password, and without a slash at the end

	user *url.Userinfo
}

// String is the path or the URL.
func (l Location) String() string { return l.Path + l.URL }

// scheme is RFC 3986's. A path that looks like one can be written ./a:b.
var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):`)

// ParseURI takes a tracking URI apart: a plain path as it stands, file: and
// file:// percent-decoded, sqlite: as SQLAlchemy reads it (three slashes and a
// relative path, four for an absolute one, nothing decoded), http: and https:.
// Nothing is looked at on disk or asked of a server.
//
// Every other scheme is an error that names the URI, without the user and
// password that it may hold, and what is accepted.
func ParseURI(uri string) (Location, error) {
	l, err := parseURI(uri)
	if err != nil {
		return Location{}, fmt.Errorf("tracking URI %q: %w; %s", withoutUser(uri), err, Accepted)
	}
	return l, nil
}

func parseURI(uri string) (Location, error) {
	m := scheme.FindStringSubmatch(uri)
	name := ""
	if m != nil {
		name = strings.ToLower(m[1])
	}
	dialect, driver, _ := strings.Cut(name, "+")
	switch {
	case strings.ContainsRune(uri, 0):
		return Location{}, errors.New("holds a NUL byte")
	case m == nil || name == "file":
		path, err := filePath(uri)
		return Location{Kind: Directory, Path: path}, err
	case dialect == "sqlite" && (driver == "" || driver == "pysqlite"):
		path, err := databasePath(uri[len(m[0]):])
		return Location{Kind: Database, Path: path}, err
	case name == "http" || name == "https":
		return serverURL(uri)
	case dialect == "postgresql" || dialect == "mysql" || dialect == "mssql":
		return Location{}, fmt.Errorf("%s databases cannot be read; start a tracking server on it (mlflow server --backend-store-uri) and give its URL", dialect)
	}
	return Location{}, fmt.Errorf("stores of the scheme %s cannot be read", name)
}

// artifactPath returns the path that an artifact_uri names on this machine.
func artifactPath(uri string) (string, error) {
	if m := scheme.FindStringSubmatch(uri); m != nil && !strings.EqualFold(m[1], "file") {
		return "", fmt.Errorf("%s is no scheme of files", m[1])
	}
	return filePath(uri)
}

// filePath returns the path of a plain path, file: or file:// URI.
func filePath(uri string) (string, error) {
	if strings.ContainsRune(uri, 0) {
		return "", errors.New("holds a NUL byte")
	}
	m := scheme.FindString(uri)
	if m == "" {
		if uri == "" {
			return "", errors.New("is empty")
		}
		return uri, nil
	}
	path := uri[len(m):]
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		host, _, _ := strings.Cut(rest, "/")
		if host != "" && !strings.EqualFold(host, "localhost") {
			return "", fmt.Errorf("names the host %q; a file must be on this machine", withoutUser(host))
		}
		path = rest[len(host):]
	}
	if strings.ContainsAny(path, "?#") {
		return "", errors.New("has a query or a fragment; write ? as %3F and # as %23")
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return "", errors.New("is not percent-encoded as a URI must be; write % as %25")
	}
	switch {
	case decoded == "":
		return "", errors.New("names no path")
	case strings.ContainsRune(decoded, 0):
		return "", errors.New("holds a NUL byte")
	}
	return decoded, nil
}

// databasePath returns the path of what follows sqlite:. Settings of
// SQLAlchemy's driver (?timeout=…) say nothing about which file it is.
func databasePath(rest string) (string, error) {
	path, ok := strings.CutPrefix(rest, "///")
	if !ok {
		return "", errors.New("is not sqlite:///PATH; a relative path has three slashes before it, an absolute one makes four")
	}
	path, _, _ = strings.Cut(path, "?")
	switch {
	case path == "" || path == ":memory:":
		return "", errors.New("names no file")
	case strings.HasPrefix(path, "file:"):
		return "", errors.New("holds a file: URI; write the path itself")
	}
	return path, nil
}

func serverURL(uri string) (Location, error) {
	u, err := url.Parse(uri)
	if err != nil {
		// The error would repeat the URI, and a password with it.
		return Location{}, errors.New("is not a URL")
	}
	switch {
	case u.Hostname() == "":
		return Location{}, errors.New("names no host")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Location{}, errors.New("has a query or a fragment")
	}
	l := Location{Kind: Server, user: u.User}
	u.User = nil
	l.URL = strings.TrimRight(u.String(), "/")
	return l, nil
}

var user = regexp.MustCompile(`(?s)//.*@`)

// withoutUser blanks what stands between // and the last @: it may be a
// password, and one that is not percent-encoded may hold a slash.
func withoutUser(uri string) string {
	if at := strings.LastIndexByte(uri, '@'); at >= 0 && !strings.Contains(uri, "/") {
		return "…" + uri[at:]
	}
	return user.ReplaceAllString(uri, "//…@")
}
