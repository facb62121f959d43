package build

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync"

	"golang.org/x/sys/cpu"
)

// Platform names what decides about the last bits of floating-point results
// beside the program's sources: operating system, architecture, the level that
// it was compiled for, and whether the processor fuses multiplications and
// additions, which Go's math functions look up when they run. An example is
// "linux/amd64 v1 fma".
func Platform() string { return platform() }

var platform = sync.OnceValue(func() string {
	name := runtime.GOOS + "/" + runtime.GOARCH
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "GO"+strings.ToUpper(runtime.GOARCH) {
				name += " " + s.Value
			}
		}
	}
	if cpu.X86.HasFMA {
		name += " fma"
	}
	return name
})
