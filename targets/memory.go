package targets

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// How much garbage, in percent of what is in use, may lie about before it is
// collected. A build in which nothing changed lasts some hundredths of a second and
// makes 30 MB in all: to collect it from the first 4 MB on takes a twentieth of its
// time. One in which something runs lasts long enough to collect as usual; what looks
// at a whole store keeps most of what it makes, as does a build of tens of thousands of
// runs, and then the garbage counts.
const (
	generous = 300
	usual    = 100
	sparing  = 30
	// sparingFrom is how many bytes are in use when collecting becomes eager.
	sparingFrom = 40 << 20
)

// collect lets the collector of this process go by how much is in use, unless GOGC says
// how.
var collect = sync.OnceFunc(func() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(generous)
	afterCollection(func() bool {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if live[0].Value.Kind() != metrics.KindUint64 || live[0].Value.Uint64() < sparingFrom {
			return true
		}
		working(sparing)
		return false
	})
})

// working is called by steps that run: less garbage may lie about from then on.
func working(percent int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	spare.Lock()
	defer spare.Unlock()
	if spare.percent == 0 || percent < spare.percent {
		spare.percent = percent
		debug.SetGCPercent(percent)
	}
}

// spare is what was last decided for this process.
var spare struct {
	sync.Mutex
	percent int
}

// afterCollection calls f after each collection until it returns false.
func afterCollection(f func() bool) {
	type sentinel struct{ _ [16]byte }
	runtime.SetFinalizer(new(sentinel), func(*sentinel) {
		if f() {
			afterCollection(f)
		}
	})
}
