package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/magefile/mage/mg"
	"go.yaml.in/yaml/v4"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/lock"
	"github.com/foundation-plr/pipeline/internal/release"
	"github.com/foundation-plr/pipeline/internal/schema"
)

const (
	releaseDir  = "outputs/release"
	stepRelease = "release"

	// releaseSettings is the settings file of a release: what a rebuild needs.
	releaseSettings = "configs/release.yaml"
	// licences are the files that say under what a release may be used.
	licences = "LICENSE*"
)

// contentsOfRelease is the kind of the release, which holds a database.
const contentsOfRelease = "release-contents/1"

// releaseDigest is what a release means.
func releaseDigest(ctx context.Context, name string) (string, error) {
	return release.Digest(ctx, name, duckfile.Digest)
}

// Release packs the public results as they stand. It makes nothing else: who has
// not looked at the results should not publish them.
func Release(ctx context.Context) error {
	var packed func()
	err := run(ctx, func(s *study) (plan, error) {
		if s.settings.Frozen {
			return plan{}, usage("FROZEN=1 compares results with %s and packs nothing: mage verify first, then mage release without it", lockFile)
		}
		p, err := everything(s)
		if err != nil {
			return plan{}, err
		}
		packs := func(step build.Step) bool { return step.Name == stepRelease }
		results := slices.DeleteFunc(slices.Clone(p.steps), packs)
		graph, err := s.graph(results)
		if err != nil {
			return plan{}, err
		}
		status, err := graph.Status(ctx)
		if err != nil {
			return plan{}, err
		}
		if !status.Fresh() {
			if err := status.Write(s.stdout); err != nil {
				return plan{}, err
			}
			return plan{}, mg.Fatal(exitStale, "results are stale, and nothing was packed: mage reproduce brings them up to date; look at them before you release them")
		}
		packed = func() {
			if s.settings.DryRun {
				return
			}
			s.say("the release is %s", s.place(s.releaseRef()))
			if _, why := s.commit(); why != "" {
				s.say("it does not name the commit that it was made of: %s", why)
			}
		}
		return plan{steps: append(results, s.release()), goals: []string{stepRelease}, private: p.private}, nil
	})
	if err == nil {
		packed()
	}
	return err
}

// releaseRef is the bundle, named after the database.
func (s *study) releaseRef() build.Ref {
	name := strings.TrimSuffix(s.database().Path, path.Ext(s.database().Path))
	if s.example() {
		name += "_synthetic"
	}
	return build.Ref{Root: rootResults, Path: path.Join(releaseDir, name+"_release.zip")}
}

// member is a file of a release: the result, where it stands in a checkout, and
// what it is.
type member struct {
	ref        build.Ref
	path, kind string
}

// members are the public results. Where they stand in the release is where a
// checkout has them, so that one that a release is unpacked over finds them.
func (s *study) members() []member {
	within := func(name string) string { return path.Join(below(s.workspace, s.settings.Results), name) }
	inRelease := below(s.workspace, s.settings.PublicDB)
	if !filepath.IsLocal(filepath.FromSlash(inRelease)) {
		inRelease = within(path.Join("data/public", s.database().Path))
	}
	all := []member{
		{s.database(), inRelease, "the public database"},
		{build.Ref{Root: rootWorkspace, Path: registryFile}, registryFile, "methods, how they are called and which are shown"},
		{build.Ref{Root: rootResults, Path: lockFile}, within(lockFile), "the digest of every result"},
		{build.Ref{Root: rootResults, Path: validationFile}, within(validationFile), "what the check of the database noticed"},
	}
	if s.settings.Flows.Summarization {
		all = append(all,
			member{reportRef, within(reportRef.Path), "the report"},
			member{summaryRef, within(summaryRef.Path), "the report for programs"})
	}
	for _, spec := range documents() {
		all = append(all,
			member{pageOf(spec), within(pageOf(spec).Path), spec.Title},
			member{sidecarOf(spec), within(sidecarOf(spec).Path), "numbers of: " + spec.Title})
	}
	return all
}

// release packs the public results. It depends on what the database holds, as
// verify does; on the bytes of all else.
func (s *study) release() build.Step {
	out, db, all := s.releaseRef(), s.database(), s.members()
	numbers := sidecarOf(numbersSpec())
	locks := build.Ref{Root: rootResults, Path: lockFile}
	locked := s.locked()
	permits := build.Glob(rootWorkspace, licences)
	inputs := append(s.readsDatabase(), permits)
	for _, m := range all {
		if m.ref != db {
			inputs = append(inputs, build.File(m.ref.Root, m.ref.Path))
		}
	}
	var places []string // in the key: the names of inputs do not say them
	for _, m := range all {
		places = append(places, m.path+": "+m.kind)
	}
	begin := "" // with the report, if there is one
	if i := slices.IndexFunc(all, func(m member) bool { return m.ref == reportRef }); i >= 0 {
		begin = all[i].path
	}
	settings := s.settingsOfRelease(all[0].path)
	commit, _ := s.commit()
	return build.Step{
		Name:    stepRelease,
		Doc:     "pack the public results for those who have nothing else",
		Inputs:  inputs,
		Outputs: []build.Output{build.Out(out.Root, out.Path).As(contentsOfRelease)},
		Params:  map[string]any{"places": places, "settings": settings, "commit": commit},
		Code:    []string{"internal/lock", "internal/release", "internal/schema", "internal/sidecar"},
		Run: func(_ context.Context, t *build.Task) (err error) {
			if _, err := readValidation(t.Path(build.Ref{Root: rootResults, Path: validationFile})); err != nil {
				return err
			}
			doc, err := lock.Read(t.Path(locks))
			if err != nil {
				return err
			}
			if err := describes(doc, t, db, locked); err != nil {
				return err
			}
			of, err := readDocument(t.Path(numbers), numbers)
			if err != nil {
				return err
			}
			encoded, err := yaml.Dump(settings)
			if err != nil {
				return err
			}
			bundle := release.Bundle{
				Study: s.settings.Study, Synthetic: of.Synthetic, Report: begin, Database: all[0].path, Schema: schema.Version,
				Settings: releaseSettings, Platform: doc.Platform, Commit: commit,
				Files: []release.File{{Path: releaseSettings, Kind: "the settings that a rebuild takes", Text: encoded}},
			}
			for _, m := range all {
				// Each passes the gate here, whatever passed when it was made:
				// the lookup may know more codes by now.
				if err := s.gate.file(m.ref, t.Path(m.ref)); err != nil {
					return err
				}
				file := release.File{Path: m.path, Kind: m.kind, Source: t.Path(m.ref)}
				if m.ref == db {
					file.Contents = t.Digest(db)
				}
				bundle.Files = append(bundle.Files, file)
			}
			found := t.Files(permits)
			if len(found) == 0 {
				return fmt.Errorf("there is no file LICENSE in the checkout: without one nobody may use what is released; put the licence there")
			}
			for _, ref := range found {
				if err := s.gate.file(ref, t.Path(ref)); err != nil {
					return err
				}
				bundle.Files = append(bundle.Files, release.File{Path: ref.Path, Kind: "licence", Source: t.Path(ref)})
			}
			to, err := os.OpenFile(t.Out(out), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			return release.Write(to, bundle)
		},
	}
}

// describes refuses results of which the lock says something else.
func describes(doc lock.Document, t *build.Task, db build.Ref, locked []build.Ref) error {
	if doc.Contents[db.Path] != t.Digest(db) {
		return fmt.Errorf("%s speaks of another database than the one in place: mage reproduce writes it anew", lockFile)
	}
	for _, ref := range locked {
		if doc.Artifacts[ref.Path] != t.Digest(ref) {
			return fmt.Errorf("%s speaks of another %s than the one in place: mage reproduce writes it anew", lockFile, ref.Path)
		}
	}
	if len(doc.Artifacts) != len(locked) {
		return fmt.Errorf("%s speaks of %d files, and %d are results of this study: mage reproduce writes it anew", lockFile, len(doc.Artifacts), len(locked))
	}
	return nil
}

// settingsOfRelease are those that results depend on and that a checkout may have
// otherwise. No other setting leaves: they name places and reasons.
func (s *study) settingsOfRelease(database string) map[string]any {
	settings := map[string]any{
		"STUDY":    s.settings.Study,
		"ANALYSIS": map[string]any{"ESTIMAND": s.settings.Estimand},
		"PREFECT":  map[string]any{"PROCESS_FLOWS": map[string]any{"SUMMARIZATION": s.settings.Flows.Summarization}},
	}
	if !s.example() {
		settings["PATHS"] = map[string]any{"PUBLIC_DB": database}
	}
	return settings
}
