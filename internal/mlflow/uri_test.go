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
		if err != nil || got != (Location{Kind: Directory, Path: c.want}) {
			t.Errorf("ParseURI(%q) = %+v, %v; want %q", c.uri, got, err, c.want)
		}
	}
	for _, c := range []struct {
		uri  string
		kind Kind
		want string
	}{
		{"sqlite:///mlflow.db", Database, "mlflow.db"},
		{"sqlite:////data/mlflow.db", Database, "/data/mlflow.db"},
		{"sqlite+pysqlite:////data/100%25.db?timeout=20", Database, "/data/100%25.db"}, // SQLAlchemy decodes nothing
		{"http://tracking.example:5000", Server, "http://tracking.example:5000"},
		{"HTTPS://tracking.example/team/", Server, "https://tracking.example/team"},
		{"https://ada:secret@tracking.example", Server, "https://tracking.example"},
	} {
		got, err := ParseURI(c.uri)
		if err != nil || got.Kind != c.kind || got.String() != c.want {
			t.Errorf("ParseURI(%q) = %v, %v, %v; want %v, %q", c.uri, got.Kind, got, err, c.kind, c.want)
		}
	}
}

func TestParseURIErrors(t *testing.T) {
	for _, c := range []struct{ uri, want string }{
		{"", "empty"},
		{"sqlite://", "sqlite:///PATH"},
		{"sqlite:///", "no file"},
		{"sqlite:///:memory:", "no file"},
		{"sqlite:///file:x.db?mode=ro&uri=true", "write the path itself"},
		{"sqlite+aiosqlite:///x.db", "scheme sqlite+aiosqlite"},
		{"postgresql://ada@host/mlflow", "start a tracking server"},
		{"mysql+pymysql://host/mlflow", "start a tracking server"},
		{"http://", "no host"},
		{"http://:5000", "no host"},
		{"http://host/?x=1", "query"},
		{"http://ho st/", "not a URL"},
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
	for _, uri := range []string{"https://ada:secret@tracking.example/?x", "https://ada:se/secret@tracking.example", "https://ada:a@secret@tracking.example:x", "file://ada:secret@host/x", "postgresql://ada:secret@host/x"} {
		_, err := ParseURI(uri)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseURI of a URI with a password: %v", err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	for _, seed := range []string{"/a", "file:a", "file:///a%20b", "file://h/a", "sqlite:///a.db", "file://%41/", "a:b", "http://u:p@h/x", "file:%2e%2e/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		l, err := ParseURI(uri)
		if (err == nil) != (l.String() != "") || (err == nil) != (l.Kind != Nowhere) {
			t.Errorf("ParseURI(%q) = %q, %v", uri, l, err)
		}
		if strings.ContainsRune(l.String(), 0) {
			t.Errorf("ParseURI(%q) gives a path with a NUL byte", uri)
		}
	})
}
