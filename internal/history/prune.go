package history

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// keepAlways is how many builds age does not remove: who comes back to a study
// after a year still sees what was done last.
const keepAlways = 10

// Prune removes the oldest builds of a tier but for the newest keep, and those
// that began before a time. The newest few stay whatever their age.
func Prune(tier string, keep int, before time.Time) error {
	ids, err := IDs(tier)
	if err != nil {
		return err
	}
	oldest := before.UTC().Format(idTime)
	for i, id := range ids {
		left := len(ids) - i
		if left > keep || left > keepAlways && id < oldest {
			err = errors.Join(err, os.RemoveAll(filepath.Join(tier, runsDir, id)))
		}
	}
	return err
}
