package mlflow

import (
	"strings"
	"testing"
)

func TestParseURI(t *testing.T) {
	for _, c := range []struct{ uri, want string }{
		{"/data/mlruns", "/data/mlruns"},
		{"mlruns", "mlruns"},
		{"./a:b", "./a:b"},
		{"/data/100%/x", "/data/100%/x"}, // a plain path is not decoded
		{"file:/data/mlruns", "/data/mlruns"},
		{"file:mlruns", "mlruns"},
		{"FILE:///data/mlruns", "/data/mlruns"},
		{"file://localhost/data/my%20runs%23", "/data/my runs#"},
		{"file:///data/100%25", "/data/100%"},
	} {
		got, err := ParseURI(c.uri)
		if err != nil || got != c.want {
			t.Errorf("ParseURI(%q) = %q, %v; want %q", c.uri, got, err, c.want)
		}
	}
}

func TestParseURIErrors(t *testing.T) {
	for _, c := range []struct{ uri, want string }{
		{"", "empty"},
		{"sqlite:///mlflow.db", "scheme sqlite"},
		{"http://tracking.example:5000", "scheme http"},
		{"s3://bucket/mlruns", "scheme s3"},
		{"databricks:profile", "scheme databricks"},
		{"file://server/share/mlruns", `host "server"`},
		{"file:///data/mlruns?x=1", "query"},
		{"file:///data/mlruns#x", "fragment"},
		{"file:///data/%zz", "percent"},
		{"file:///data/%00", "NUL"},
		{"/data/\x00", "NUL"},
		{"file:", "no path"},
		{"file://localhost", "no path"},
	} {
		_, err := ParseURI(c.uri)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), Accepted) {
			t.Errorf("ParseURI(%q): %v; want it to say %q and what is accepted", c.uri, err, c.want)
		}
	}
	for _, uri := range []string{"https://ada:secret@tracking.example/", "https://secret@tracking.example", "file://ada:secret@host/x"} {
		_, err := ParseURI(uri)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseURI of a URI with a password: %v", err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	for _, seed := range []string{"/a", "file:a", "file:///a%20b", "file://h/a", "sqlite:///a.db", "file://%41/", "a:b", "file:%2e%2e/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		path, err := ParseURI(uri)
		if (err == nil) != (path != "") {
			t.Errorf("ParseURI(%q) = %q, %v", uri, path, err)
		}
		if strings.ContainsRune(path, 0) {
			t.Errorf("ParseURI(%q) gives a path with a NUL byte", uri)
		}
	})
}
