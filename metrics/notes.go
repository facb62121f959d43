package metrics

import (
	"regexp"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/metrics/smooth"
)

// unconverged is the note of a recalibration that was given up.
const unconverged = "the fit did not converge: but for nearly equal risks the classes are separated"

// groupsNote is the note of a calibration error in small groups.
const groupsNote = "fewer than 20 subjects a group: mostly chance, and its interval too high"

// tooLongNote is the note of an average precision over models without an interval.
const tooLongNote = "so many refits and subjects would take too long to resample"

// notes are what a row of [Table], but for those of Options.All, may say of its
// result, beside counts.
var notes = []string{
	unconverged, smallNote, loessNote, groupsNote, tooLongNote,
	smooth.ErrTooFew.Error(), smooth.ErrConstant.Error(), smooth.ErrSeparated.Error(),
}

var countNote = regexp.MustCompile(`^(?:(?:mean|median) over [1-9][0-9]* refits?(?:, undefined in [1-9][0-9]*)?|undefined in [1-9][0-9]* of [1-9][0-9]* resamples)$`)

// noteSeparator stands between the notes of one row.
const noteSeparator = "; "

// KnownNote reports whether text is made of notes that [Table] and [RefitTable]
// give without Options.All, so that whoever publishes rows can tell them from free text.
func KnownNote(text string) bool {
	if text == "" {
		return true
	}
	for part := range strings.SplitSeq(text, noteSeparator) {
		if !slices.Contains(notes, part) && !countNote.MatchString(part) {
			return false
		}
	}
	return true
}
