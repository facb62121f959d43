package targets

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// formerFiles are private files that earlier versions wrote and nothing reads any
// more: what the store says and records of runs were JSON. They hold original codes.
var formerFiles = []string{"index.json", "upstream.json"}

var formerRecord = regexp.MustCompile(`^[0-9a-f]{32}\.json$`)

// removeFormer removes what earlier versions left in the private directory, or only
// counts it.
func (s *study) removeFormer(dry bool) (removed int, err error) {
	var found []string
	for _, name := range formerFiles {
		found = append(found, filepath.Join(s.settings.PrivateDir, name))
	}
	runs := filepath.Join(s.settings.PrivateDir, "runs")
	entries, err := os.ReadDir(runs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	for _, entry := range entries {
		if formerRecord.MatchString(entry.Name()) {
			found = append(found, filepath.Join(runs, entry.Name()))
		}
	}
	for _, name := range found {
		info, err := os.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return removed, err
		case !info.Mode().IsRegular():
			continue // no version made such a thing
		}
		if !dry {
			if err := os.Remove(name); err != nil {
				return removed, err
			}
		}
		removed++
	}
	return removed, nil
}
