package build

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Change is one difference between what a step was last built from and what
// it would be built from now. Then and Now are empty where there was nothing,
// or where the value is a secret: of an environment variable only whether it
// is set.
type Change struct {
	Field string `json:"field"` // engine, code, toolchain, parameter, environment variable, tool, output, input or ledger
	Name  string `json:"name,omitempty"`
	How   string `json:"how"` // changed, added, removed; of a declared input also "declared anew" and "no longer declared"
	Then  string `json:"then,omitempty"`
	Now   string `json:"now,omitempty"`
}

// Fields of changes.
const (
	fieldEngine    = "engine"
	fieldCode      = "code"
	fieldToolchain = "toolchain"
	fieldParam     = "parameter"
	fieldEnv       = "environment variable"
	fieldTool      = "tool"
	fieldOutput    = "output"
	fieldInput     = "input"
	fieldLedger    = "ledger"
)

// String says it in plain words, without the values where they are long.
func (c Change) String() string {
	switch c.Field {
	case fieldEngine:
		return "built by another version of the engine"
	case fieldToolchain:
		return fmt.Sprintf("toolchain changed: %s, was %s", c.Now, c.Then)
	case fieldOutput:
		return "outputs declared differently"
	case fieldTool:
		version := c.Now
		if version == "" {
			version = c.Then
		}
		return fmt.Sprintf("tool %s %s (%s)", c.Name, c.How, version)
	case fieldInput:
		if c.Now == stateOutside || c.Now == stateOther {
			return fmt.Sprintf("input %s %s: it is %s now", c.Name, c.How, c.Now)
		}
	}
	return strings.Join(strings.Fields(c.Field+" "+c.Name+" "+c.How), " ")
}

// maxReasons bounds how many changes of one field are told one by one.
const maxReasons = 5

// reasons says in plain words how a manifest differs from the one of the
// step's last record.
func reasons(last []byte, now *manifest) []string {
	if last == nil {
		return []string{"never built"}
	}
	then, err := decodeManifest(last)
	if err != nil {
		return []string{"its last record cannot be read"}
	}
	out := tell(changes(then, now))
	if len(out) == 0 {
		return []string{"its record is gone"}
	}
	return out
}

// tell puts changes, sorted by field, into words.
func tell(all []Change) []string {
	var out []string
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Field == all[0].Field {
			n++
		}
		var some []string
		for _, c := range all[:n] {
			some = append(some, c.String())
		}
		some = slices.Compact(some)
		if more := len(some) - maxReasons; more > 0 {
			some = append(some[:maxReasons], fmt.Sprintf("and %d more like that", more))
		}
		out = append(out, some...)
		all = all[n:]
	}
	return out
}

// changes compares two manifests field by field.
func changes(then, now *manifest) []Change {
	var out []Change
	for _, f := range []struct{ field, then, now string }{
		{fieldEngine, then.format, now.format},
		{fieldCode, then.code, now.code},
		{fieldToolchain, then.toolchain, now.toolchain},
	} {
		if f.then != f.now {
			out = append(out, Change{Field: f.field, How: "changed", Then: f.then, Now: f.now})
		}
	}
	byName := func(p param) string { return p.name }
	value := func(p param) string { return p.value }
	out = append(out, diff(fieldParam, then.params, now.params, byName, value)...)
	out = append(out, diff(fieldEnv, then.env, now.env, func(v variable) string { return v.name }, variable.text)...)
	out = append(out, diff(fieldTool, then.tools, now.tools, byName, value)...)
	out = append(out, diff(fieldOutput, then.outputs, now.outputs, outputName, outputName)...)
	out = append(out, inputChanges(then.inputs, now.inputs)...)
	return append(out, diffEntries(fieldLedger, then.ledgers, now.ledgers, entry.text)...)
}

func (e entry) name() string { return e.ref.String() }

// What an input is that a step may not be able to read.
const (
	stateOutside = "behind a link that leaves its root"
	stateOther   = "neither a file nor a directory"
)

// state is what a reason says of an input.
func (e entry) state() string {
	switch e.kind {
	case kindFileOutside, kindNamedOutside:
		return stateOutside
	case kindNamedOther:
		return stateOther
	}
	return e.text()
}

// text is what may be shown of a variable.
func (v variable) text() string {
	if v.set {
		return "set"
	}
	return "not set"
}

// outputName prints an output of a manifest, which has its kind behind a zero
// byte.
func outputName(s string) string {
	name, kind, _ := strings.Cut(s, "\x00")
	if kind == "" {
		return name
	}
	return name + " as " + kind
}

// diff compares two lists of things with names.
func diff[T comparable](field string, then, now []T, name, text func(T) string) []Change {
	old := make(map[string]T, len(then))
	for _, t := range then {
		old[name(t)] = t
	}
	var out []Change
	for _, t := range now {
		was, ok := old[name(t)]
		switch {
		case !ok:
			out = append(out, Change{field, name(t), "added", "", text(t)})
		case was != t:
			out = append(out, Change{field, name(t), "changed", text(was), text(t)})
		}
		delete(old, name(t))
	}
	for _, t := range then {
		if _, gone := old[name(t)]; gone {
			out = append(out, Change{field, name(t), "removed", text(t), ""})
		}
	}
	return out
}

// diffEntries compares two lists of entries. Both are sorted, so that nothing but what
// differs is held: a step that lists a large store has a million.
func diffEntries(field string, then, now entryList, text func(entry) string) []Change {
	var out, removed []Change
	next, stop := iter.Pull(then.all())
	defer stop()
	was, more := next()
	gone := func() {
		removed = append(removed, Change{field, was.name(), "removed", text(was), ""})
		was, more = next()
	}
	for e := range now.all() {
		for more && compareRefs(was.ref, e.ref) < 0 {
			gone()
		}
		if !more || was.ref != e.ref {
			out = append(out, Change{field, e.name(), "added", "", text(e)})
			continue
		}
		if was != e {
			out = append(out, Change{field, e.name(), "changed", text(was), text(e)})
		}
		was, more = next()
	}
	for more {
		gone()
	}
	return append(out, removed...)
}

func inputChanges(then, now []group) []Change {
	old := make(map[Input]entryList, len(then))
	for _, g := range then {
		old[g.input] = g.entries
	}
	var out []Change
	for _, g := range now {
		was, ok := old[g.input]
		delete(old, g.input)
		if !ok {
			out = append(out, Change{Field: fieldInput, Name: g.input.String(), How: "declared anew"})
			continue
		}
		out = append(out, diffEntries(fieldInput, was, g.entries, entry.state)...)
	}
	for _, g := range then {
		if _, gone := old[g.input]; gone {
			out = append(out, Change{Field: fieldInput, Name: g.input.String(), How: "no longer declared"})
		}
	}
	return out
}

// diffInputs says how inputs differ.
func diffInputs(then, now []group) []string { return tell(inputChanges(then, now)) }
