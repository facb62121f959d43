// The race detector needs memory of its own for each byte, which these limits
// leave no room for: without it, memory is what is tested here.

//go:build !race

package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childFile makes this test program read a file, in little memory, and say how
// much it took.
const childFile = "PICKLE_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		os.Exit(readAlone(path))
	}
	os.Exit(m.Run())
}

// heldLimit is what callers set who read the study's files.
const heldLimit = 112 << 20

func readAlone(path string) int {
	// A backstop, so that a fault takes this process and not the machine. Go
	// reserves more addresses than it uses.
	limit := &syscall.Rlimit{Cur: 2 << 30, Max: 2 << 30}
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, limit); err != nil {
		fmt.Println(err)
		return 1
	}
	before := peakMemory()
	began := time.Now()
	_, err := ReadFile(path, NewPaths("wanted"), Limits{MaxHeld: heldLimit})
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Detail == detailPanic || e.Detail == detailDisagree) {
		fmt.Println(err)
		return 1
	}
	fmt.Println(before, peakMemory(), time.Since(began).Milliseconds(), err)
	return 0
}

// peakMemory is the most that this process had in memory, in kB.
func peakMemory() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			n, err := strconv.Atoi(strings.Fields(string(rest))[0])
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// TestMemory reads hostile files of the size of the study's in a process of
// their own. PICKLE_LONG=1 has all of them.
func TestMemory(t *testing.T) {
	const size = 42 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	counted := func(one func(i uint32) string, n int) string {
		var b strings.Builder
		for i := range uint32(n) {
			b.WriteString(one(i))
		}
		return b.String()
	}
	files := map[string]struct {
		body string
		long bool
	}{
		"11 bytes that claim 32 GiB": {"\x96" + le64(32<<30), false},
		"MARK":                       {fill("("), true},
		"MARK POP":                   {"N" + fill("(0"), true},
		"EMPTY_LIST":                 {"](" + fill("]") + "e", true},
		"EMPTY_DICT":                 {"](" + fill("}") + "e", true},
		"MEMOIZE":                    {"N" + fill("\x94"), false},
		"many small values stored":   {"](" + fill("N\x94") + "e", true},
		"texts":                      {"](" + counted(func(i uint32) string { return "\x8c\x08" + fmt.Sprintf("%08d", i) + "\x94" }, size/11) + "e", true},
		"SETITEM":                    {"}" + counted(func(i uint32) string { return integer(i) + "Ns" }, size/7), true},
		"deep list":                  {fill("]"), true},
		"TUPLE1":                     {"N" + fill("\x85"), true},
		"TUPLE":                      {"](" + fill("(t") + "e", true},
		"BINFLOAT":                   {"](" + fill("G12345678") + "e", true},
		"LONG1":                      {"](" + fill("\x8a\xff"+strings.Repeat("\x01", 255)) + "e", false},
		"LONG4":                      {"](" + fill("\x8b"+le32(1024)+strings.Repeat("\x01", 1024)) + "e", true},
		"GET":                        {"N\x94](" + fill("h\x00") + "e", true},
		"scalars":                    {newDtype("f8") + "\x940cnumpy.core.multiarray\nscalar\n\x940](" + fill("h\x01h\x00C\x0812345678\x94\x86\x94R\x94") + "e", false},
		"one long text":              {"X" + le32(size) + fill("a"), true},
		"one long buffer":            {"\x96" + le64(size) + strings.Repeat("a", size), true},
		"encodings":                  {encodings(20_000), true},
	}
	dir := t.TempDir()
	for name, file := range files {
		if file.long && os.Getenv("PICKLE_LONG") == "" {
			continue
		}
		for _, key := range []string{"wanted", "other"} {
			t.Run(name+" where it is "+key, func(t *testing.T) {
				path := filepath.Join(dir, "file")
				if err := os.WriteFile(path, []byte(head+"}"+text(key)+file.body+"s."), 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childFile+"="+path)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %.2000s", err, out)
				}
				var before, after, ms int
				if _, err := fmt.Sscan(string(out), &before, &after, &ms); err != nil || before == 0 {
					t.Fatalf("the child says %q: %v", out, err)
				}
				t.Logf("%s", out)
				if after > 256<<10 {
					t.Errorf("took %d MB", after>>10)
				}
				if len(file.body) < 100 && after-before > 4<<10 {
					t.Errorf("%d bytes took %d kB", len(file.body), after-before)
				}
				if ms > 30_000 {
					t.Errorf("took %d ms", ms)
				}
			})
		}
	}
}
