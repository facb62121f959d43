// Pickles measures, in turns, how long the metrics pickles of a study take to
// read: by Python's pickle.load, by this module, and the floor, which is every
// byte read and hashed. See docs/performance.md.
//
//	python3 bench/pickles/make.py DIR 24
//	go run ./bench/pickles [-rounds 7] [-python python3] DIR/*.pickle
//
// Each round reads all files once in each way; Python, the reader and the floor
// are processes of their own, which take one file after the other. The peak of
// their memory is the kernel's.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/pickle"
)

// wayVariable makes this program the process that reads in one way.
const wayVariable = "PICKLES_WAY"

func main() {
	var err error
	if way := os.Getenv(wayVariable); way != "" {
		err = serve(way)
	} else {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pickles:", err)
		os.Exit(1)
	}
}

// ways are what is compared, by the name in the table.
var ways = []string{"CPython pickle.load", "read for extraction", "read whole", "floor: read and hash"}

// loader is Python's process: a line with a path in, a line out when it is read.
const loader = `
import gc, pickle, sys
import numpy
for line in sys.stdin:
    with open(line.rstrip("\n"), "rb") as f:
        value = pickle.load(f)
    del value
    print(flush=True)
`

func run() error {
	rounds := flag.Int("rounds", 7, "how often every file is read in each way")
	python := flag.String("python", "python3", "a Python with numpy")
	flag.Parse()
	files := flag.Args()
	if len(files) == 0 {
		return fmt.Errorf("name pickles to read; bench/pickles/make.py makes some")
	}
	var bytes int64
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		bytes += info.Size()
	}
	readers := make([]*reader, len(ways))
	for i, way := range ways {
		var err error
		if readers[i], err = start(way, *python); err != nil {
			return err
		}
	}
	all, one := make([][]float64, len(ways)), make([][]float64, len(ways))
	for range *rounds {
		for i, r := range readers {
			began := time.Now()
			for k, file := range files {
				if err := r.read(file); err != nil {
					return fmt.Errorf("%s: %w", ways[i], err)
				}
				if k == 0 {
					one[i] = append(one[i], time.Since(began).Seconds())
				}
			}
			all[i] = append(all[i], time.Since(began).Seconds())
		}
	}
	fmt.Printf("%d files, %.1f MB, %d rounds, %s, %d cores, GOMAXPROCS of a reader %d\n\n", len(files), float64(bytes)/1e6, *rounds, runtime.Version(), runtime.NumCPU(), runtime.GOMAXPROCS(0))
	fmt.Println("| | first file, median (min–max) | all files | of CPython | CPU | peak RSS |")
	fmt.Println("|---|---|---|---|---|---|")
	for i, r := range readers {
		usage, err := r.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", ways[i], err)
		}
		cpu := time.Duration(usage.Utime.Nano()+usage.Stime.Nano()).Seconds() / float64(*rounds)
		fmt.Printf("| %s | %s ms | %s s | %.3f | %.2f s | %d MB |\n", ways[i], spread(one[i], 1000, 0), spread(all[i], 1, 2),
			median(all[i])/median(all[0]), cpu, usage.Maxrss>>10)
	}
	return nil
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

func spread(x []float64, scale float64, digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, scale*median(x), digits, scale*slices.Min(x), digits, scale*slices.Max(x))
}

// reader is a process that reads in one way.
type reader struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(way, python string) (*reader, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), wayVariable+"="+way)
	if way == ways[0] {
		cmd = exec.Command(python, "-c", loader)
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &reader{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

func (r *reader) read(file string) error {
	if _, err := fmt.Fprintln(r.in, file); err != nil {
		return err
	}
	_, err := r.out.ReadString('\n')
	return err
}

func (r *reader) stop() (*syscall.Rusage, error) {
	if err := r.in.Close(); err != nil {
		return nil, err
	}
	if err := r.cmd.Wait(); err != nil {
		return nil, err
	}
	return r.cmd.ProcessState.SysUsage().(*syscall.Rusage), nil
}

// serve reads what the lines of standard input name.
func serve(way string) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := readOnce(way, lines.Text()); err != nil {
			return err
		}
		fmt.Println()
	}
	return lines.Err()
}

func readOnce(way, path string) error {
	switch {
	case strings.HasPrefix(way, "floor"):
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // opened for reading only
		// Neither side gets to choose another way to copy.
		_, err = io.CopyBuffer(struct{ io.Writer }{blake3.New()}, struct{ io.Reader }{f}, make([]byte, 256<<10))
		return err
	case way == "read whole":
		_, err := pickle.ReadFile(path, nil, pickle.Limits{})
		return err
	}
	_, err := pickle.ReadFile(path, extract.Wanted, pickle.Limits{})
	return err
}
