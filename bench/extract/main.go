// Extract measures, in turns, what a whole extraction costs: of a store that was
// never read, of one in which nothing changed, and of one in which one pickle did;
// beside Python's pickle.load of the same files, which the reference's exporter
// begins with, and the floor, which is every byte read and hashed. See
// docs/performance.md.
//
//	python3 bench/store/make.py STORE 24 --refits 1000
//	go tool mage -compile plr
//	go run ./bench/extract [-rounds 5] [-python python3] ./plr STORE
//
// The changed pickle is the first of the store, which gets the contents of the last
// and its own back: a store that must not change is to be copied.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"
)

// floorVariable makes this program the process that reads and hashes the files
// named by its arguments.
const floorVariable = "EXTRACT_FLOOR"

// settle is longer than the age from which on time stamps are believed: a build
// hashes what is younger again.
const settle = 3 * time.Second

// exporter is how many times CPython's time for loading the files the reference's
// exporter takes, where both were measured (docs/performance.md).
const exporter = 4.9

func main() {
	var err error
	if os.Getenv(floorVariable) != "" {
		err = floor(os.Args[1:])
	} else {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "extract:", err)
		os.Exit(1)
	}
}

// loader loads the files that it is told and says how long that took.
const loader = `
import pickle, sys, time
import numpy
began = time.perf_counter()
for line in sys.stdin:
    with open(line.rstrip("\n"), "rb") as f:
        value = pickle.load(f)
    del value
print(time.perf_counter() - began)
`

// Ways to spend time on a store, as the table has them.
const (
	python = iota
	first
	changed
	same
	hashed
	ways
)

var labels = [ways]string{
	"CPython `pickle.load` of every file, imports not counted",
	"`extract`, never read before", "`extract`, one pickle changed", "`extract`, nothing changed",
	"floor: every pickle read and hashed, all processors",
}

// cost is what a process took.
type cost struct {
	wall, cpu float64 // s
	rss       int64   // bytes, the most of it or of a child
}

func run() error {
	rounds := flag.Int("rounds", 5, "how often each is measured")
	interpreter := flag.String("python", "python3", "a Python with numpy")
	flag.Parse()
	if flag.NArg() != 2 {
		return errors.New("want the compiled program and a store")
	}
	program, err := filepath.Abs(flag.Arg(0))
	if err != nil {
		return err
	}
	store, err := filepath.Abs(flag.Arg(1))
	if err != nil {
		return err
	}
	pickles, err := filepath.Glob(filepath.Join(store, "*", "*", "artifacts", "metrics", "*.pickle"))
	if err != nil {
		return err
	}
	if len(pickles) < 2 {
		return fmt.Errorf("%d metrics pickles in %s: want two or more", len(pickles), store)
	}
	var bytesInAll int64
	for _, name := range pickles {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		bytesInAll += info.Size()
	}
	var costs [ways][]cost
	for range *rounds {
		c, err := load(*interpreter, pickles)
		if err != nil {
			return fmt.Errorf("python: %w", err)
		}
		costs[python] = append(costs[python], c)
		if err := extraction(program, store, pickles, &costs); err != nil {
			return err
		}
		floor := exec.Command(os.Args[0], pickles...)
		floor.Env = append(os.Environ(), floorVariable+"=1")
		if c, err = spent(floor); err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		costs[hashed] = append(costs[hashed], c)
	}
	fmt.Printf("%d runs, %.1f MB, %d rounds, %s, %d processors\n\n", len(pickles), float64(bytesInAll)/1e6, *rounds, runtime.Version(), runtime.NumCPU())
	fmt.Println("| | wall, median (min–max) | processor time | peak memory |")
	fmt.Println("|---|---|---|---|")
	of := func(way int, value func(cost) float64) []float64 {
		var all []float64
		for _, c := range costs[way] {
			all = append(all, value(c))
		}
		return slices.Sorted(slices.Values(all))
	}
	wall := func(way int) float64 { return median(of(way, func(c cost) float64 { return c.wall })) }
	for way, label := range labels {
		all := of(way, func(c cost) float64 { return c.wall })
		fmt.Printf("| %s | %.3f s (%.3f–%.3f) | %.2f s | %.0f MB |\n", label, median(all), all[0], all[len(all)-1],
			median(of(way, func(c cost) float64 { return c.cpu })), median(of(way, func(c cost) float64 { return float64(c.rss) }))/1e6)
	}
	fmt.Printf("\nThe reference's exporter would take about %.1f s (%.1f times CPython): %.1f times the first extraction, which takes %.1f times the floor. One changed pickle costs %.2f s more than none.\n",
		exporter*wall(python), exporter, exporter*wall(python)/wall(first), wall(first)/wall(hashed), wall(changed)-wall(same))
	return nil
}

func median(sorted []float64) float64 {
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func load(interpreter string, pickles []string) (cost, error) {
	cmd := exec.Command(interpreter, "-c", loader)
	cmd.Stdin = strings.NewReader(strings.Join(pickles, "\n") + "\n")
	var out bytes.Buffer
	cmd.Stdout = &out
	c, err := spent(cmd)
	if err != nil {
		return c, err
	}
	_, err = fmt.Sscan(out.String(), &c.wall)
	return c, err
}

// extraction measures the three extractions in a workspace of their own.
func extraction(program, store string, pickles []string, costs *[ways][]cost) (err error) {
	workspace, err := os.MkdirTemp("", "extract-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(workspace)) }()
	if err := os.CopyFS(filepath.Join(workspace, "configs"), os.DirFS("configs")); err != nil {
		return err
	}
	extract := func(way int, ran string) error {
		cmd := exec.Command(program, "extract")
		cmd.Dir = workspace
		cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+store, "NO_COLOR=1")
		var out bytes.Buffer
		cmd.Stdout = &out
		c, err := spent(cmd)
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", labels[way], err, out.Bytes())
		}
		if !strings.Contains(out.String(), " "+ran+" ran") {
			return fmt.Errorf("%s: not %s steps ran\n%s", labels[way], ran, out.Bytes())
		}
		costs[way] = append(costs[way], c)
		return nil
	}
	// All runs, and the steps upstream, index, subjects and checkpoint.
	if err := extract(first, fmt.Sprint(len(pickles)+4)); err != nil {
		return err
	}
	time.Sleep(settle)
	if err := extract(same, "0"); err != nil { // hashes what was young
		return err
	}
	costs[same] = costs[same][:len(costs[same])-1]
	if err := extract(same, "0"); err != nil {
		return err
	}
	kept := filepath.Join(workspace, "kept.pickle")
	if err := copyFile(kept, pickles[0]); err != nil {
		return err
	}
	err = copyFile(pickles[0], pickles[len(pickles)-1])
	if err == nil {
		// The run, the checkpoint, and the subjects, who turn out to be the same.
		err = extract(changed, "3")
	}
	return errors.Join(err, copyFile(pickles[0], kept))
}

// copyFile writes over a file. It holds little of it at a time: the kernel counts
// the memory of this process as that of those which it starts.
func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // read only
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// spent runs a process.
func spent(cmd *exec.Cmd) (cost, error) {
	cmd.Stderr = os.Stderr
	began := time.Now()
	err := cmd.Run()
	c := cost{wall: time.Since(began).Seconds()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
		c.rss = usage.Maxrss << 10
	}
	return c, err
}

// floor reads and hashes files.
func floor(names []string) error {
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for _, name := range names {
		g.Go(func() error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			h := blake3.New()
			buffer := make([]byte, 1<<20)
			for {
				n, err := f.Read(buffer)
				if n == 0 {
					break
				}
				if _, err := h.Write(buffer[:n]); err != nil {
					return err
				}
				if err != nil {
					return err
				}
			}
			return f.Close()
		})
	}
	return g.Wait()
}
