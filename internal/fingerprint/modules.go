package fingerprint

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Table is where, below the root of the sources, it is written which modules
// outside each package of the module needs. The compiler knows and a running
// program does not, so the table is generated, and a test compares it with what
// the go command says:
//
//	go test ./internal/fingerprint -run TestTableIsTrue -update
//
// A line is a package and the modules of all that it imports outside the module,
// directly and through them.
const Table = "internal/fingerprint/modules.txt"

// readTable parses the table.
func readTable(text []byte) (map[string][]string, error) {
	needs := map[string][]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		needs[fields[0]] = fields[1:]
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", Table, err)
	}
	return needs, nil
}

// modules are the modules outside, with what identifies their contents.
type modules struct {
	language []string            // what go.mod says of all: the language version, replaced modules
	sums     map[string][]string // by module path: the lines of go.sum for its contents
	versions map[string]string   // by module path, of go.mod
}

func readModules(mod, sum []byte) *modules {
	m := &modules{sums: map[string][]string{}, versions: map[string]string{}}
	block := ""
	for line := range strings.Lines(string(mod)) {
		line, _, _ = strings.Cut(line, "//")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
			continue
		case fields[0] == ")":
			block = ""
			continue
		case fields[len(fields)-1] == "(":
			block = fields[0]
			continue
		case block != "":
			fields = append([]string{block}, fields...)
		}
		switch fields[0] {
		case "module", "tool", "ignore":
		case "require":
			if len(fields) == 3 {
				m.versions[fields[1]] = fields[2]
			}
		default: // go, toolchain, godebug, replace, exclude: they may change any package
			m.language = append(m.language, strings.Join(fields, " "))
		}
	}
	for line := range strings.Lines(string(sum)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && !strings.HasSuffix(fields[1], "/go.mod") {
			m.sums[fields[0]] = append(m.sums[fields[0]], strings.Join(fields, " "))
		}
	}
	return m
}

// identify returns what the contents of the named modules, and of modules whose
// paths lie below theirs, are known by: a module keeps libraries for other
// platforms in modules of their own, which the table of one platform does not
// show. It fails for a module that go.sum does not know.
func (m *modules) identify(names []string) ([]string, error) {
	all := map[string]bool{}
	for _, name := range names {
		found := false
		for known := range m.sums {
			if known == name || strings.HasPrefix(known, name+"/") {
				all[known] = true
				found = true
			}
		}
		if !found {
			return nil, fmt.Errorf("module %s is in %s and not in go.sum: generate the table anew", name, Table)
		}
	}
	var lines []string
	for name := range all {
		lines = append(lines, m.sums[name]...)
		lines = append(lines, name+" "+m.versions[name])
	}
	slices.Sort(lines)
	return append(slices.Clone(m.language), lines...), nil
}
