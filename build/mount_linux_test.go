package build

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full disk fails the step whose output has no room, and says so. What was
// there stays, what was done is recorded, and the build goes on when there is
// room.
func TestDiskFull(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		s := newSpace(t)
		mount(t, "tmpfs", s.dir, 0, "size=1m")
		s.opt.Jobs = 1
		s.write("digit", "1")
		s.steps = []Step{sizeStep("a", 10), sizeStep("b", 300)}
		s.expect("ran a; ran b")
		s.write("digit", "2")
		s.fails("ran a; failed b", "no space left on device")
		if got := s.read("b"); len(got) != 300<<10 || got[0] != '1' {
			t.Errorf("b is %d bytes that begin with %.1q", len(got), got)
		}
		if left := get(filepath.Glob(filepath.Join(s.dir, stagingDir+"*"))); len(left) > 0 {
			t.Errorf("staging is left: %v", left)
		}
		s.fails("failed b", "no space left on device")
		mount(t, "tmpfs", s.dir, syscall.MS_REMOUNT, "size=8m")
		s.expect("ran b")
		if got := s.read("b"); got[0] != '2' {
			t.Errorf("b begins with %.1q", got)
		}
		s.expect("")
	})
}

// Where nothing can be written a build says so and status works.
func TestReadOnly(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		s := newSpace(t)
		s.write("digit", "1")
		s.write("out/keep", "")
		out := copyStep("b", "digit", "out/b")
		s.steps = []Step{sizeStep("a", 1), out, sizeStep("c", 1)}
		mount(t, filepath.Join(s.dir, "out"), filepath.Join(s.dir, "out"), syscall.MS_BIND, "")
		mount(t, "", filepath.Join(s.dir, "out"), syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
		// One directory that cannot be written to: the other steps are done.
		s.fails("ran a; failed b; ran c", "read-only file system")
		s.steps = []Step{s.steps[0], s.steps[2]}
		s.expect("")
		mount(t, s.dir, s.dir, syscall.MS_BIND|syscall.MS_REC, "")
		mount(t, "", s.dir, syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, "")
		if rep, err := s.graph().Status(t.Context()); err != nil || !rep.Fresh() {
			t.Errorf("status: %+v, %v", rep, err)
		}
		_, err := s.build()
		if err == nil || !strings.Contains(err.Error(), "read-only file system") || !strings.Contains(err.Error(), ".cache") {
			t.Errorf("a build where nothing can be written: %v", err)
		}
	})
}

// A directory of outputs may be on another file system than its root: mounted
// there, as a volume of a container is, or behind a link to a larger disk.
func TestOutputsOnAnotherDisk(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		s := newSpace(t)
		if err := os.Symlink(memoryDir(t), filepath.Join(s.dir, "linked")); err != nil {
			t.Fatal(err)
		}
		s.write("elsewhere/x", "")
		s.write("bound/x", "")
		mount(t, filepath.Join(s.dir, "elsewhere"), filepath.Join(s.dir, "bound"), syscall.MS_BIND, "")
		s.write("digit", "1")
		for _, dir := range []string{"linked", "bound"} {
			s.steps = append(s.steps, copyStep(dir, "digit", dir+"/a"), Step{Name: dir + "-tree", Inputs: []Input{File("work", "digit")}, Outputs: []Output{OutTree("work", dir+"/t")},
				Run: func(_ context.Context, t *Task) error {
					digit, err := os.ReadFile(t.Path(Ref{"work", "digit"}))
					if err != nil {
						return err
					}
					dir := filepath.Join(t.Out(Ref{"work", dir + "/t"}), "sub")
					return errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "x"), digit, 0o755))
				}})
		}
		all := "ran bound; ran bound-tree; ran linked; ran linked-tree"
		s.expect(all)
		s.expect("")
		s.write("digit", "2")
		s.expect(all)
		for _, dir := range []string{"linked", "bound"} {
			if s.read(dir+"/a") != "2" || s.read(dir+"/t/sub/x") != "2" {
				t.Errorf("%s: %q, %q", dir, s.read(dir+"/a"), s.read(dir+"/t/sub/x"))
			}
			if info := get(os.Stat(filepath.Join(s.dir, dir, "t/sub/x"))); info.Mode().Perm() != 0o755 {
				t.Errorf("%s: the mode of a program is %s", dir, info.Mode())
			}
			if left := get(filepath.Glob(filepath.Join(s.dir, dir, stagingDir+"*"))); len(left) > 0 {
				t.Errorf("staging is left: %v", left)
			}
			s.remove(dir + "/a")
		}
		s.write("bound/t/sub/x", "edited")
		s.expect("restored bound; ran bound-tree unchanged; restored linked")
		s.expect("")
	})
}

// inNamespace runs a test where it can mount: in a process of its own with a
// mount namespace, and a user namespace if it is not root already.
func inNamespace(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	const inside = "BUILD_TEST_NAMESPACE"
	if os.Getenv(inside) == t.Name() {
		body(t)
		return
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	startInNamespace(t, inside+"="+t.Name())
}

// startInNamespace runs a test alone in a child that may mount.
func startInNamespace(t *testing.T, env string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.ExitCode() == cannotMount:
		t.Skipf("needs root, or user namespaces that may mount: %s", out)
	case errors.Is(err, syscall.EPERM):
		t.Skipf("needs root, or user namespaces: %v", err)
	default:
		t.Fatalf("%v\n%s", err, out)
	}
}

// cannotMount is the exit code of a child that may not mount after all.
const cannotMount = 77

// mountsArePrivate says that what is mounted here is not seen by others.
var mountsArePrivate bool

func mount(t *testing.T, what, where string, flags uintptr, data string) {
	t.Helper()
	if !mountsArePrivate {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(cannotMount)
		}
		mountsArePrivate = true
	}
	kind := ""
	if flags == 0 || flags == syscall.MS_REMOUNT {
		kind = "tmpfs"
	}
	if err := syscall.Mount(what, where, kind, flags, data); err != nil {
		if errors.Is(err, syscall.EPERM) {
			os.Stderr.WriteString(err.Error())
			os.Exit(cannotMount)
		}
		t.Fatalf("mount %s: %v", where, err)
	}
	if flags&syscall.MS_REMOUNT == 0 {
		t.Cleanup(func() {
			if err := syscall.Unmount(where, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
}
