package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/internal/console"
)

// SubjectsRekey draws new codes for all subjects and a new key, for a new release.
// It says what that means, and does it only when told to.
func SubjectsRekey(ctx context.Context, yes *bool) error {
	s, err := open()
	if err != nil {
		return err
	}
	switch {
	case s.example():
		return usage("the bundled example has published codes, which come out the same for everybody: there is nothing to draw anew; for one's own study set MLFLOW_TRACKING_URI")
	case s.settings.TrackingURI == "":
		return usage("no tracking store is configured, so that nothing could be built with new codes: set MLFLOW_TRACKING_URI")
	case !s.settings.Flows.Classification:
		return usage("PREFECT.PROCESS_FLOWS.CLASSIFICATION is false, so that the database keeps the codes it has: switch it on first")
	case len(s.settings.DemoSubjects) > 0:
		return usage("EXTRACTION.demo_subjects lists subjects by their codes, which would stand for others: empty it first, and list new codes when they are drawn")
	}
	files := s.ledgerFiles()
	lookup, err := anonymize.ReadLookup(files.Lookup)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no lookup at %s: the first build draws codes, and new ones can only follow old ones", files.Lookup)
	}
	if err != nil {
		return err
	}
	does := wanted(yes) && !s.settings.DryRun
	var former string
	if does {
		s.settings.NoWait = true // a build that waits for its codes to change is not what anybody wants
		graph, err := s.graph(nil)
		if err != nil {
			return err
		}
		if err := s.closePrivate(); err != nil {
			return err
		}
		err = graph.Exclusive(ctx, func() error {
			var err error
			former, err = files.Rekey()
			return err
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprint(s.stdout, s.rekeyed(lookup.Len(), former))
	return nil
}

// rekeyed says what new codes mean: what was done, or what would be when former,
// where the ledger is kept, is "".
func (s *study) rekeyed(subjects int, former string) string {
	first := fmt.Sprintf("would draw a new key, and new codes for all %s of %s\n", console.Plural(subjects, "subject"), s.ledgerFiles().Lookup)
	kept := "would keep the present lookup and key below former in the same directory"
	last := "nothing was changed: mage subjects:rekey -yes draws new codes\n"
	if former != "" {
		first = fmt.Sprintf("drew a new key, and new codes for all %s of %s\n", console.Plural(subjects, "subject"), s.ledgerFiles().Lookup)
		kept = "kept the lookup and key before as " + former
		last = "back up the lookup and its key now, and the former ones for as long as the former release is used\n"
	}
	known := "whoever has this release and the one before can still tell who is who: a subject's risks are the same in both, unless PRIVACY.SUBJECT_TABLES is false for one of them\n"
	if !s.settings.SubjectTables {
		known = "with PRIVACY.SUBJECT_TABLES false the next release holds no risks by which its subjects could be found in the one before\n"
	}
	return first +
		"the new numbers are in an order that tells nothing of the old ones; H and G stay with their subjects\n" +
		kept + "; codes that were published stand for subjects by these\n" +
		"the next build writes the demo traces, the public database and what depends on it anew, in the place of those of the release before: copy them first; no pickle is read again\n" +
		"codes in texts, slides and configs that name single subjects (EXTRACTION.demo_subjects) are those of the release before\n" +
		known + last
}
