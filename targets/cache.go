package targets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/lock"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// CacheStat says how large the cache is, and what it saves.
func CacheStat(ctx context.Context, asJSON *bool) error {
	s, graph, err := publicHalf(asJSON)
	if err != nil {
		return err
	}
	stat, err := graph.CacheStat(ctx)
	if err != nil {
		return err
	}
	// With no download wanted, and none removed, all are counted.
	downloads, err := mlflow.Prune(s.downloads(), mlflow.Location{}, nil, true)
	if err != nil {
		return fmt.Errorf("downloads: %w", err)
	}
	if wanted(asJSON) {
		return printJSON(struct {
			*build.CacheStat
			Downloads mlflow.Pruned `json:"downloads"`
		}{stat, downloads})
	}
	var b strings.Builder
	for _, t := range stat.Tiers {
		fmt.Fprintf(&b, "%-8s %s: %s (%s), %s of %s", t.Name, bytesText(t.Bytes), console.Plural(t.Blobs, "blob"), bytesText(t.Stored), console.Plural(t.Records, "record"), console.Plural(t.Steps, "step"))
		if t.Damaged > 0 {
			fmt.Fprintf(&b, ", %s set aside", console.Plural(t.Damaged, "damaged file"))
		}
		b.WriteByte('\n')
	}
	if downloads.Files > 0 {
		fmt.Fprintf(&b, "%s of the tracking store: %s\n", console.Plural(downloads.Files, "download"), bytesText(downloads.Bytes))
	}
	if len(stat.Tiers) == 0 {
		b.WriteString("there is no cache yet\n")
	}
	if stat.Work > 0 {
		fmt.Fprintf(&b, "without it a build would take %s of work\n", secondsText(stat.Work))
	}
	if rate, known := stat.Recent.Rate(); known {
		fmt.Fprintf(&b, "the last %s: %.1f %% of the steps did not have to run", console.Plural(stat.Recent.Builds, "build"), 100*rate)
		if stat.Recent.Saved > 0 {
			fmt.Fprintf(&b, ", which saved %s of work", secondsText(stat.Recent.Saved))
		}
		b.WriteByte('\n')
	}
	_, err = io.WriteString(s.stdout, b.String())
	return err
}

// CacheVerify reads the whole cache and sets aside what is damaged; it fails
// with 3 when anything is.
func CacheVerify(ctx context.Context) error {
	s, graph, err := publicHalf(nil)
	if err != nil {
		return err
	}
	if err := s.refuseDryRun("cache:verify"); err != nil {
		return err
	}
	found, err := graph.CacheVerify(ctx)
	if err != nil {
		return err
	}
	for _, d := range found.Damaged {
		after := "it is set aside, and built again when it is needed"
		if d.Mended {
			after = "it is set aside, and mended from the output, which is in place"
		}
		fmt.Fprintf(s.stdout, "damaged  %s %s: %s; %s\n", d.Tier, d.Name, s.gate.redact(d.Why), after)
	}
	fmt.Fprintf(s.stdout, "%s (%s) read, %d damaged\n", console.Plural(found.Blobs, "blob"), bytesText(found.Bytes), len(found.Damaged))
	if len(found.Damaged) > 0 {
		return mg.Fatal(exitStale, "the cache was damaged; what was damaged is no longer in it")
	}
	return nil
}

// CacheGC makes the cache smaller: it removes what nothing speaks of, and, with
// a size, what saves the fewest seconds per byte and was not used for long. What
// the last builds and pipeline.lock need stays.
func CacheGC(ctx context.Context, maxsize *string, dryrun *bool) error {
	limit := build.CacheLimit{MaxSize: -1}
	if maxsize != nil {
		var err error
		if limit.MaxSize, err = config.ParseSize(*maxsize); err != nil {
			return usage("-maxsize=%s: %v", *maxsize, err)
		}
	}
	s, err := open()
	if err != nil {
		return err
	}
	steps := s.analyses()
	has, err := s.hasStore()
	if err != nil {
		return err // without its steps nothing of the private tier would be known to be needed
	}
	if has {
		steps = append(s.extraction(), steps...)
	}
	graph, err := s.graph(steps)
	if err != nil {
		return err
	}
	limit.DryRun = wanted(dryrun) || s.settings.DryRun
	if limit.Keep, err = lockedDigests(filepath.Join(s.settings.Results, lockFile), filepath.Join(s.workspace, lockFile)); err != nil {
		return err
	}
	c, err := graph.CacheGC(ctx, limit)
	if err != nil {
		return err
	}
	verb := "removed"
	if limit.DryRun {
		verb = "would be removed"
	}
	for _, r := range c.Results {
		fmt.Fprintf(s.stdout, "%-24s %s, took %s, last used %s\n", r.Step, bytesText(r.Bytes), secondsText(r.Seconds), r.Used[:len(time.DateOnly)])
	}
	fmt.Fprintf(s.stdout, "%s %s: %s and %s that nothing speaks of; %s, were %s\n", console.Plural(c.Blobs, "blob"), verb,
		console.Plural(len(c.Results), "older result"), bytesText(c.Orphans), bytesText(c.After), bytesText(c.Before))
	if limit.MaxSize >= 0 && c.After > limit.MaxSize {
		fmt.Fprintf(s.stdout, "this is more than %s: the last builds need blobs of %s, and history and records count, too\n", *maxsize, bytesText(c.Needed))
	}
	if !has {
		return nil // nothing is known of what it would hold
	}
	return s.collectDownloads(ctx, graph, limit.DryRun)
}

// lockedDigests returns the digests that lock files name, of those that are
// there.
func lockedDigests(names ...string) ([]string, error) {
	slices.Sort(names)
	var digests []string
	for _, name := range slices.Compact(names) {
		doc, err := lock.Read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w; nothing was collected, because it says what must stay", err)
		}
		for _, digest := range doc.Artifacts {
			digests = append(digests, digest)
		}
	}
	slices.Sort(digests)
	return slices.Compact(digests), nil
}

// CacheClear removes everything from the public cache that can be built again,
// and from the private one if asked to.
func CacheClear(ctx context.Context, private *bool) error {
	s, graph, err := publicHalf(nil)
	if err != nil {
		return err
	}
	if err := s.refuseDryRun("cache:clear"); err != nil {
		return err
	}
	freed, err := graph.CacheClear(ctx, wanted(private))
	if err != nil {
		return err
	}
	what := "the public cache is"
	if wanted(private) {
		what = "both caches are"
		err := graph.Exclusive(ctx, func() error {
			pruned, err := mlflow.Prune(s.downloads(), mlflow.Location{}, nil, false)
			freed += pruned.Bytes
			return err
		})
		if err != nil {
			return fmt.Errorf("downloads: %w", err)
		}
	}
	fmt.Fprintf(s.stdout, "%s empty: %s removed; outputs, lookup, key, history and rescued files stay\n", what, bytesText(freed))
	return nil
}

// collectDownloads removes what tracking servers sent and no used run has now.
func (s *study) collectDownloads(ctx context.Context, graph *build.Graph, dry bool) error {
	var files []mlflow.Download
	if s.probe != nil {
		if s.probe.unreachable != nil {
			s.say("downloads stay, because the tracking server does not say which are still of use")
			return nil
		}
		files = s.probe.files
	}
	var pruned mlflow.Pruned
	do := func() (err error) {
		pruned, err = s.prune(files, dry)
		return err
	}
	var err error
	if dry {
		err = do()
	} else {
		err = graph.Exclusive(ctx, do)
	}
	if err != nil || pruned.Files == 0 {
		return err
	}
	verb := "removed"
	if dry {
		verb = "would be removed"
	}
	fmt.Fprintf(s.stdout, "%s (%s) that no run of the tracking store has now %s\n", console.Plural(pruned.Files, "download"), bytesText(pruned.Bytes), verb)
	return nil
}

// CacheExport writes the public results of the last builds, with what is needed
// to restore them, to a .tar.zst file.
func CacheExport(ctx context.Context, file string) error {
	s, graph, err := publicHalf(nil)
	if err != nil {
		return err
	}
	if err := s.refuseDryRun("cache:export"); err != nil {
		return err
	}
	done, err := graph.CacheExport(ctx, file)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "%s with %s of %s written to %s\n", console.Plural(done.Blobs, "blob"), bytesText(done.Bytes), console.Plural(done.Records, "step"), file)
	for _, ref := range done.Sources {
		fmt.Fprintf(s.stdout, "with the source %s\n", ref)
	}
	for _, step := range done.Left {
		fmt.Fprintf(s.stdout, "without %s, which makes a directory\n", step)
	}
	fmt.Fprintf(s.stdout, "root digest %s\n", done.Root)
	return nil
}

// CacheImport takes over the results of a file that CacheExport wrote, after
// verifying all of it.
func CacheImport(ctx context.Context, file string, root, maxsize *string) error {
	var accept build.CacheImport
	if root != nil {
		accept.Root = strings.ToLower(strings.TrimSpace(*root))
	}
	if maxsize != nil {
		var err error
		if accept.MaxBytes, err = config.ParseSize(*maxsize); err != nil {
			return usage("-maxsize=%s: %v", *maxsize, err)
		}
	}
	s, graph, err := publicHalf(nil)
	if err != nil {
		return err
	}
	if err := s.refuseDryRun("cache:import"); err != nil {
		return err
	}
	done, err := graph.CacheImport(ctx, file, accept)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "root digest %s\n", done.Root)
	fmt.Fprintf(s.stdout, "results of %s taken over, %d were here already; %s added\n", console.Plural(done.Records, "step"), done.Known, console.Plural(done.Blobs, "blob"))
	for _, ref := range done.Placed {
		fmt.Fprintf(s.stdout, "put in place: %s\n", ref)
	}
	for _, ref := range done.Kept {
		fmt.Fprintf(s.stdout, "not replaced: %s differs from the one in the file\n", ref)
	}
	return nil
}

// publicHalf is the graph of what needs nothing private: all that matters to
// looking into a cache.
func publicHalf(asJSON *bool) (*study, *build.Graph, error) {
	notes := os.Stdout
	if wanted(asJSON) {
		notes = os.Stderr
	}
	s, err := openTo(notes)
	if err != nil {
		return nil, nil, err
	}
	graph, err := s.graph(s.analyses())
	return s, graph, err
}

// refuseDryRun refuses what would do something although DRY_RUN is set.
func (s *study) refuseDryRun(target string) error {
	if s.settings.DryRun {
		return usage("DRY_RUN is set, and %s has no dry run: unset it", target)
	}
	return nil
}

// bytesText is a size for people, in the decimal units that -maxsize has.
func bytesText(n int64) string {
	value, unit := float64(n), "B"
	for _, next := range []string{"KB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

func secondsText(s float64) string {
	if s < 60 {
		return fmt.Sprintf("%.2f s", s)
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}
