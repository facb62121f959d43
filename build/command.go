package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/process"
)

// command is a Step.Command that has been found sound.
type command struct {
	digest string // of the program; "" where something else stands for it
}

// Parameters that a command adds to those of its step.
const (
	paramCommand = "command"
	paramStdout  = "stdout"
)

var placeholder = regexp.MustCompile(`\{(in|out)(?::([0-9]+))?\}|\{param:([^{}]*)\}`)

// useCommand checks a step's command and makes it part of its manifest.
func (p *plan) useCommand(n *node) error {
	if len(n.Command) == 0 || n.Command[0] == "" {
		return errors.New("its command names no program")
	}
	if len(n.Ledgers) > 0 {
		return errors.New("a command cannot have ledgers: use Run and Task.Exec")
	}
	used := make([]bool, len(n.Outputs))
	for _, arg := range append(slices.Clone(n.Command), n.Stdout) {
		if !utf8.ValidString(arg) {
			return fmt.Errorf("command: the argument %q is not UTF-8", arg)
		}
		for _, m := range placeholders(arg) {
			if err := n.checkPlaceholder(m, used); err != nil {
				return fmt.Errorf("command: %s: %w", m[0], err)
			}
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return fmt.Errorf("command: nothing tells the program where to write %s: use {out} or {out:%d}, or Stdout", n.Outputs[i], i)
	}
	if n.Stdout != "" {
		m := placeholder.FindStringSubmatch(n.Stdout)
		i, one := n.output(m)
		if m == nil || m[0] != n.Stdout || !one || n.Outputs[i].Tree {
			return fmt.Errorf("stdout is %q: it must be {out} or {out:N} for an output that is a file", n.Stdout)
		}
	}
	for _, name := range []string{paramCommand, paramStdout} {
		if _, taken := n.Params[name]; taken {
			return fmt.Errorf("a step with a command can have no parameter %s of its own", name)
		}
	}
	n.params = append(n.params, param{paramCommand, argument(n.Command)})
	if n.Stdout != "" {
		n.params = append(n.params, param{paramStdout, argument([]string{n.Stdout})})
	}
	slices.SortFunc(n.params, func(a, b param) int { return compare(a.name, b.name) })
	n.command = &command{}
	if _, said := n.Tools[n.Command[0]]; said || strings.Contains(n.Command[0], "{") && placeholder.MatchString(n.Command[0]) {
		return nil
	}
	prog, known := p.programs[n.Command[0]]
	if !known {
		prog = p.g.program(n.Command[0])
		p.programs[n.Command[0]] = prog
	}
	if prog.private {
		return fmt.Errorf("the program %s is private: declare it as an input and begin the command with {in:0}", n.Command[0])
	}
	// Other steps can run without it.
	n.command.digest, n.broken = prog.digest, prog.err
	return nil
}

// placeholders finds the placeholders in an argument, with their groups.
func placeholders(arg string) [][]string {
	switch {
	case !strings.Contains(arg, "{"):
		return nil
	case arg == "{in}", arg == "{out}": // by far the most, and a regular expression is slow
		return [][]string{{arg, arg[1 : len(arg)-1], "", ""}}
	}
	return placeholder.FindAllStringSubmatch(arg, -1)
}

func (n *node) checkPlaceholder(m []string, used []bool) error {
	kind, number, name := m[1], m[2], m[3]
	switch {
	case kind == "":
		if _, ok := n.Params[name]; !ok {
			return errors.New("the step has no such parameter")
		}
	case kind == "out":
		i, one := n.output(m)
		switch {
		case one:
			used[i] = true
		case number != "" || len(used) == 0:
			return fmt.Errorf("the step has %s", console.Plural(len(used), "output"))
		default:
			for i := range used {
				used[i] = true
			}
		}
	case number == "" && len(n.Inputs) == 0:
		return errors.New("the step has no inputs")
	case number != "":
		if i, err := strconv.Atoi(number); err != nil || i >= len(n.Inputs) {
			return fmt.Errorf("the step has %s", console.Plural(len(n.Inputs), "input"))
		}
	}
	return nil
}

// output returns which output a placeholder names, if it names one.
func (n *node) output(m []string) (i int, one bool) {
	if m == nil || m[1] != "out" {
		return 0, false
	}
	if m[2] == "" {
		return 0, len(n.Outputs) == 1
	}
	i, err := strconv.Atoi(m[2])
	return i, err == nil && i < len(n.Outputs)
}

// program returns where a program is: as the shell would find it, except that a
// relative path is one below the workspace.
func (o *Options) program(name string) (string, error) {
	if !strings.Contains(name, "/") {
		path, err := exec.LookPath(name)
		var miss *exec.Error
		if errors.As(err, &miss) {
			err = miss.Err
		}
		return path, err
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(o.Workspace, name)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "", err
	case info.IsDir() || info.Mode()&0o111 == 0:
		return "", &os.PathError{Op: "exec", Path: name, Err: syscall.EACCES}
	}
	return name, nil
}

// run runs the command of a step.
func (c *command) run(ctx context.Context, t *Task) error {
	var argv []string
	for _, arg := range t.n.Command {
		args, err := t.expand(arg)
		if err != nil {
			return err
		}
		argv = append(argv, args...)
	}
	if placeholder.MatchString(t.n.Command[0]) && !filepath.IsAbs(argv[0]) {
		argv[0] = filepath.Join(t.opt.Workspace, argv[0])
	}
	if t.n.Stdout == "" {
		return t.exec(ctx, nil, argv)
	}
	i, _ := t.n.output(placeholder.FindStringSubmatch(t.n.Stdout))
	f, err := os.OpenFile(t.staging[i], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(t.exec(ctx, f, argv), f.Close())
}

// expand puts values in the place of the placeholders of one argument.
func (t *Task) expand(arg string) ([]string, error) {
	if m := placeholder.FindStringSubmatch(arg); m != nil && m[0] == arg && m[1] != "" {
		return t.paths(m), nil
	}
	var err error
	text := placeholder.ReplaceAllStringFunc(arg, func(s string) string {
		m := placeholder.FindStringSubmatch(s)
		if m[1] == "" {
			return argument(t.n.Params[m[3]])
		}
		paths := t.paths(m)
		if len(paths) != 1 {
			err = fmt.Errorf("command: %s stands for %s inside the argument %q, where it must stand for one", s, console.Plural(len(paths), "file"), arg)
			return ""
		}
		return paths[0]
	})
	if err != nil {
		return nil, err
	}
	return []string{text}, nil
}

// argument is a parameter as an argument: strings as they are, the rest as JSON.
func argument(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil { // New has tried it with parameters
		panic(err)
	}
	return string(b)
}

// paths returns what {in} and {out} stand for.
func (t *Task) paths(m []string) []string {
	var paths []string
	if m[1] == "out" {
		if i, one := t.n.output(m); one {
			return []string{t.short(t.staging[i])}
		}
		for _, abs := range t.staging {
			paths = append(paths, t.short(abs))
		}
		return paths
	}
	inputs := t.n.Inputs
	if m[2] != "" {
		i, err := strconv.Atoi(m[2])
		if err != nil { // checked with the declaration
			panic(err)
		}
		inputs = inputs[i : i+1]
	}
	for _, in := range inputs {
		for _, ref := range t.Files(in) {
			paths = append(paths, t.short(t.opt.abs(ref)))
		}
	}
	return paths
}

// short is the path as it is given to programs: what they print of it shall not
// depend on where the workspace is.
func (t *Task) short(abs string) string {
	if abs == t.opt.Workspace || !inside(abs, t.opt.Workspace) {
		return abs
	}
	rel := relative(t.opt.Workspace, abs)
	if strings.HasPrefix(rel, "-") { // no option
		rel = "./" + rel
	}
	return rel
}

// Exec runs a program from a Run function as Step.Command does, without
// placeholders: in the workspace, with the environment that the step declares,
// its output going into the step's log. When ctx ends, the program and what it
// has started get SIGTERM and three seconds later SIGKILL. Whatever it leaves
// running in its process group is killed when it ends; on Linux, the program
// itself is also killed when this process dies.
//
// Name the program in Step.Tools, or a new version of it makes nothing stale.
func (t *Task) Exec(ctx context.Context, argv ...string) error {
	if len(argv) == 0 {
		return errors.New("exec: no program")
	}
	return t.exec(ctx, nil, argv)
}

// grace is how long a program may take to end when it is told to; shorter in
// tests. Mage ends the whole process five seconds after an interrupt: by then
// what is deaf must be killed, and what was done recorded.
var grace = 3 * time.Second

func (t *Task) exec(ctx context.Context, stdout *os.File, argv []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name, err := t.opt.program(argv[0])
	if err != nil {
		return fmt.Errorf("program %s: %w", argv[0], plainError(err))
	}
	t.Log.Info("run", "argv", strings.Join(argv, " "))
	out := &console.Lines{Log: t.Log, Stream: "stdout"}
	errs := &console.Lines{Log: t.Log, Stream: "stderr"}
	cmd := &exec.Cmd{Path: name, Args: argv, Dir: t.opt.Workspace, Env: t.environ(), Stdout: out, Stderr: errs, WaitDelay: grace}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	err = process.Run(ctx, cmd)
	out.Flush()
	errs.Flush()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("program %s was stopped: %w", argv[0], ctx.Err())
	}
	if said := errs.Last(); said != "" {
		return fmt.Errorf("program %s: %w: %s", argv[0], err, said)
	}
	return fmt.Errorf("program %s: %w", argv[0], err)
}

// passedOn are the variables that programs get though steps do not declare
// them: where programs and scratch places are, which no result should depend on.
var passedOn = []string{"PATH", "HOME", "USER", "LOGNAME", "TMPDIR"}

// environ is the environment of programs. Locale and time zone decide how text
// is sorted and times are written.
func (t *Task) environ() []string {
	env := []string{"PWD=" + t.opt.Workspace}
	for name, value := range map[string]string{"LC_ALL": "C.UTF-8", "TZ": "UTC"} {
		if !slices.Contains(t.n.Env, name) {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range append(slices.Clone(passedOn), t.n.Env...) {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	slices.Sort(env)
	return slices.Compact(env)
}
