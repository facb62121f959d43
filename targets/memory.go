package targets

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// The collector is generous up to a bound and works harder only there. A build in
// which nothing changed lasts some hundredths of a second and makes 30 MB in all: to
// collect it from the first 4 MB on takes a twentieth of its time. One of tens of
// thousands of runs keeps most of what it makes, and then the garbage counts.
const (
	// generous is how much garbage, in percent of what is in use, may lie about while
	// there is room, and usual how much it is from the first pickle on: then there is
	// time.
	generous = 300
	usual    = 100
	// room is what this process shall get along with: 256 MB less the program's own
	// code of 45 MB and what DuckDB takes where a database is read.
	room = 100 << 20
	// sparing is how much garbage may lie about at least, in percent: where more is in
	// use than there is room for, collecting without a pause would not help.
	sparing = 5
	// overhead is what the runtime takes beside what is in use: spans that are free in
	// part, and those that it has not given back yet. It was measured with 90 MB in use: 20 to 36 MB.
	overhead = 28 << 20
)

// collect sets the collector of this process, unless the environment says how it is
// to be.
var collect = sync.OnceFunc(func() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(generous)
	limit := int64(room)
	debug.SetMemoryLimit(limit)
	afterCollection(func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if live[0].Value.Kind() != metrics.KindUint64 {
			return
		}
		inUse := int64(live[0].Value.Uint64())
		if now := max(room, overhead+inUse+inUse*sparing/100); now != limit {
			limit = now
			debug.SetMemoryLimit(limit)
		}
	})
})

// working is called by steps that run.
func working() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		worked()
	}
}

var worked = sync.OnceFunc(func() { debug.SetGCPercent(usual) })

// roomy is how much memory of the runtime is no reason to give any back.
const roomy = 64 << 20

// giveBack returns memory that is free to the system, before DuckDB takes its share in
// this process. The runtime does so by and by, and keeps to its own limit only.
func giveBack() {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	for _, s := range sample {
		if s.Value.Kind() != metrics.KindUint64 {
			return
		}
	}
	if sample[0].Value.Uint64()-sample[1].Value.Uint64() > roomy {
		debug.FreeOSMemory()
	}
}

// afterCollection calls f after each collection.
func afterCollection(f func()) {
	type sentinel struct{ _ [16]byte }
	runtime.SetFinalizer(new(sentinel), func(*sentinel) {
		f()
		afterCollection(f)
	})
}
