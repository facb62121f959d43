package pipeline_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	_ "github.com/duckdb/duckdb-go/v2" // the driver of sql
	"github.com/rogpeppe/go-internal/testscript"
)

// exitCode runs a program that must end with the given code.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case err == nil && want == 0:
	case errors.As(err, &exit) && exit.ExitCode() == want:
	default:
		ts.Fatalf("%s ended with %v, want exit code %d", args[1], err, want)
	}
}

// damages are what can be done to the pickle of a run.
var damages = map[string]func(whole []byte) []byte{
	"half": func(whole []byte) []byte { return whole[:len(whole)/2] },
	"random": func(whole []byte) []byte {
		r := rand.New(rand.NewPCG(1, 2))
		noise := make([]byte, len(whole))
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		return noise
	},
	// Python would run `touch pwned` while it loads this: protocol 4, the names
	// os and system, STACK_GLOBAL, the argument, TUPLE1, REDUCE, STOP.
	"os.system": func([]byte) []byte { return []byte("\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0btouch pwned\x85R.") },
}

// damagePickle is the command
//
//	pickle STORE N HOW       damage the pickle of the Nth run (half, random, os.system)
//	pickle STORE N M         put the pickle of the Mth run in place of the Nth's
//	pickle STORE -restore    put all back
func damagePickle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: pickle STORE N HOW|M, or pickle STORE -restore")
	}
	store := ts.MkAbs(args[0])
	if args[1] == "-restore" {
		restore(ts, store)
		return
	}
	target := nth(ts, store, "artifacts/metrics/*.pickle", args[1])
	whole := keep(ts, target)
	damage, known := damages[args[2]]
	if !known {
		other, err := os.ReadFile(nth(ts, store, "artifacts/metrics/*.pickle", args[2]))
		ts.Check(err)
		damage = func([]byte) []byte { return other }
	}
	changed := damage(whole)
	if bytes.Equal(changed, whole) {
		ts.Fatalf("%v changes nothing", args)
	}
	ts.Check(os.WriteFile(target, changed, 0o644))
}

// damageMeta is the command
//
//	meta STORE N broken      make the meta.yaml of the Nth run something else than YAML
//	meta STORE N TEXT        append a line to it
//	meta STORE -restore      put all back
func damageMeta(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: meta STORE N broken|LINE, or meta STORE -restore")
	}
	store := ts.MkAbs(args[0])
	if args[1] == "-restore" {
		restore(ts, store)
		return
	}
	target := nth(ts, store, "meta.yaml", args[1])
	text := append(keep(ts, target), args[2]+"\n"...)
	if args[2] == "broken" {
		text = []byte("run_id: [unclosed\n\t: {")
	}
	ts.Check(os.WriteFile(target, text, 0o644))
}

// nth is the file that matches below the Nth run (from 1, by run id) that has a
// pickle.
func nth(ts *testscript.TestScript, store, pattern, n string) string {
	i, err := strconv.Atoi(n)
	ts.Check(err)
	runs, err := filepath.Glob(filepath.Join(store, experiment, "*/artifacts/metrics/*.pickle"))
	ts.Check(err)
	slices.Sort(runs)
	if i < 1 || i > len(runs) {
		ts.Fatalf("run %d of %d", i, len(runs))
	}
	run := filepath.Dir(filepath.Dir(filepath.Dir(runs[i-1])))
	found, err := filepath.Glob(filepath.Join(run, pattern))
	ts.Check(err)
	if len(found) != 1 {
		ts.Fatalf("%d files match %s in run %d", len(found), pattern, i)
	}
	return found[0]
}

// keptBeside is where the original of a damaged file stands; nothing that a
// reader of the store looks at has such a name.
const keptBeside = ".kept"

func keep(ts *testscript.TestScript, name string) []byte {
	whole, err := os.ReadFile(name)
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs(keptBeside), 0o755))
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(keptBeside), strconv.Itoa(len(name))+filepath.Base(name)), whole, 0o644))
	ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(keptBeside), strconv.Itoa(len(name))+filepath.Base(name)+".where"), []byte(name), 0o644))
	return whole
}

func restore(ts *testscript.TestScript, store string) {
	wheres, err := filepath.Glob(filepath.Join(ts.MkAbs(keptBeside), "*.where"))
	ts.Check(err)
	if len(wheres) == 0 {
		ts.Fatalf("nothing in %s has been damaged", store)
	}
	for _, where := range wheres {
		name, err := os.ReadFile(where)
		ts.Check(err)
		kept := where[:len(where)-len(".where")]
		whole, err := os.ReadFile(kept)
		ts.Check(err)
		ts.Check(os.WriteFile(string(name), whole, 0o644))
		ts.Check(os.Remove(where))
		ts.Check(os.Remove(kept))
	}
}

// unzip unpacks a zip file, so that no program for it needs to be installed.
func unzip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unzip FILE DIR")
	}
	packed, err := zip.OpenReader(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, f := range packed.File {
		in, err := f.Open()
		ts.Check(err)
		data, err := io.ReadAll(in)
		ts.Check(errors.Join(err, in.Close()))
		name := filepath.Join(ts.MkAbs(args[1]), filepath.FromSlash(f.Name))
		ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
		ts.Check(os.WriteFile(name, data, f.Mode()))
	}
	ts.Check(packed.Close())
}

// changeDatabase runs one statement on a DuckDB file.
func changeDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("duckdb", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// queryDatabase is the command
//
//	query FILE SELECT    print rows of a DuckDB file, cells apart by spaces
func queryDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: query FILE SELECT")
	}
	db, err := sql.Open("duckdb", ts.MkAbs(args[0])+"?access_mode=read_only")
	ts.Check(err)
	defer db.Close()
	rows, err := db.Query(args[1])
	ts.Check(err)
	defer rows.Close()
	columns, err := rows.Columns()
	ts.Check(err)
	cells, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		ts.Check(rows.Scan(into...))
		line := fmt.Sprintln(cells...)
		_, err := io.WriteString(ts.Stdout(), strings.ReplaceAll(line, "<nil>", "NULL"))
		ts.Check(err)
	}
	ts.Check(rows.Err())
}

// holder makes the test program hold the database that it names open for
// writing, until its standard input ends.
const holder = "PLR_TEST_HOLDS"

func hold(file string) (err error) {
	db, err := sql.Open("duckdb", file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Ping(); err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// holdDatabase is the command
//
//	hold FILE            another process opens a DuckDB file for writing
//	hold -release FILE   it closes the file
func holdDatabase(ts *testscript.TestScript, neg bool, args []string) {
	release := len(args) == 2 && args[0] == "-release"
	if neg || len(args) != 1 && !release {
		ts.Fatalf("usage: hold [-release] FILE")
	}
	file := ts.MkAbs(args[len(args)-1])
	if release {
		held, known := holding.LoadAndDelete(file)
		if !known {
			ts.Fatalf("nobody holds %s", file)
		}
		ts.Check(held.(func() error)())
		return
	}
	exe, err := os.Executable()
	ts.Check(err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), holder+"="+file)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	ts.Check(err)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	close := sync.OnceValue(func() error { return errors.Join(in.Close(), cmd.Wait()) })
	holding.Store(file, close)
	ts.Defer(func() {
		if err := close(); err != nil {
			ts.Fatalf("the process that held %s: %v", file, err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		ts.Fatalf("the process that was to hold %s said %q, %v", file, line, err)
	}
}

// holding has what ends each process that holds a database, by the file.
var holding sync.Map
