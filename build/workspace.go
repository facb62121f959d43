package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Work is the root that [Workspace] gives: the directory of the project.
const Work = "work"

// Workspace returns options for a project in one directory, "" being the
// current one: the root [Work], the cache in .cache, what is printed on the
// standard output, and [Executable] for the code of steps that have a Run
// function. Files that are private need a root and a cache of their own:
//
//	o.Roots["private"] = build.Root{Path: filepath.Join(o.Workspace, "private"), Private: true}
//	o.PrivateCache = filepath.Join(o.Workspace, "private", "cache")
//
// The environment says how it builds: JOBS=n, FORCE=1 or FORCE=glob[,glob],
// DRY_RUN=1, FAIL_FAST=1, NOWAIT=1, AUDIT=1, LOG_FORMAT=json, NO_COLOR=1; and so
// do the variables of terminals and CI systems ([Options.Surroundings]).
func Workspace(dir string) (Options, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		// Outputs are named by real places: the same directory by another
		// path is the same workspace.
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return Options{}, fmt.Errorf("workspace: %w", err)
	}
	o := Options{
		Workspace:   abs,
		Roots:       map[string]Root{Work: {Path: abs}},
		PublicCache: filepath.Join(abs, ".cache"),
		Code:        func([]string) (string, error) { return Executable() },
		CodeOfAll:   true,
		Target:      strings.Join(os.Args[1:], " "),
		Stdout:      os.Stdout,
		LogFormat:   os.Getenv("LOG_FORMAT"),
		NoColor:     os.Getenv("NO_COLOR") != "",
	}
	o.Surroundings(os.Getenv)
	if text := os.Getenv("JOBS"); text != "" {
		if o.Jobs, err = strconv.Atoi(text); err != nil || o.Jobs < 1 {
			return Options{}, fmt.Errorf("JOBS is %q: it must be a number above zero", text)
		}
	}
	for name, to := range map[string]*bool{"DRY_RUN": &o.DryRun, "FAIL_FAST": &o.FailFast, "NOWAIT": &o.NoWait, "AUDIT": &o.Audit} {
		if *to, err = parseSwitch(os.Getenv(name)); err != nil {
			return Options{}, fmt.Errorf("%s is %q: %w", name, os.Getenv(name), err)
		}
	}
	force := os.Getenv("FORCE")
	if all, err := parseSwitch(force); err != nil {
		o.Force = strings.FieldsFunc(force, func(r rune) bool { return r == ',' || r == ' ' })
	} else if all {
		o.Force = []string{"*"}
	}
	if o.LogFormat != "" && o.LogFormat != "text" && o.LogFormat != "json" {
		return Options{}, fmt.Errorf("LOG_FORMAT is %q: it must be json or text", o.LogFormat)
	}
	return o, nil
}

// Surroundings takes from the environment what it says about where the lines are
// read: TERM=dumb, or none, is a terminal that can do nothing but print; CI=true
// is no place for a display; GITHUB_ACTIONS=true is one that folds and marks.
func (o *Options) Surroundings(getenv func(string) string) {
	if term := getenv("TERM"); term == "" || term == "dumb" {
		o.Plain, o.NoColor = true, true
	}
	if ci := getenv("CI"); ci != "" && ci != "false" && ci != "0" {
		o.Plain = true
	}
	o.GitHub = getenv("GITHUB_ACTIONS") == "true"
}

func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "", "0", "false", "no", "off":
		return false, nil
	case "1", "true", "yes", "on":
		return true, nil
	}
	return false, errors.New("it must be 1 or 0")
}
