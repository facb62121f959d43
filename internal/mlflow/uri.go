package mlflow

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Accepted says which tracking URIs can be read; errors end with it.
const Accepted = "accepted are a directory, file:PATH and file:///PATH"

// scheme is RFC 3986's. A path that looks like one can be written ./a:b.
var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*):`)

// ParseURI returns the path that a tracking or artifact URI names on this
// machine: a plain path as it stands, file: and file:// percent-decoded. The
// path may be relative. Nothing is looked at on disk.
//
// A host other than localhost, every other scheme (sqlite:, http:, s3:, …) and
// a query or fragment is an error that names the URI, without the user and
// password that it may hold, and what is accepted.
func ParseURI(uri string) (string, error) {
	path, err := parseURI(uri)
	if err != nil {
		return "", fmt.Errorf("tracking URI %q: %w; %s", withoutUser(uri), err, Accepted)
	}
	return path, nil
}

func parseURI(uri string) (string, error) {
	if strings.ContainsRune(uri, 0) {
		return "", errors.New("holds a NUL byte")
	}
	m := scheme.FindStringSubmatch(uri)
	if m == nil {
		if uri == "" {
			return "", errors.New("is empty")
		}
		return uri, nil
	}
	if !strings.EqualFold(m[1], "file") {
		return "", fmt.Errorf("stores of the scheme %s cannot be read", strings.ToLower(m[1]))
	}
	path := uri[len(m[0]):]
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

var user = regexp.MustCompile(`//[^/@]*@`)

// withoutUser blanks what stands between // and @: it may be a password.
func withoutUser(uri string) string {
	if at := strings.LastIndexByte(uri, '@'); at >= 0 && !strings.Contains(uri, "/") {
		return "…" + uri[at:]
	}
	return user.ReplaceAllString(uri, "//…@")
}
