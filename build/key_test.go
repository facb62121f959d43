package build

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/store"
)

// TestKeyIsStable holds the encoding of manifests: a change of it makes every
// cache worthless, which has to be meant and then goes with a new
// manifestFormat.
func TestKeyIsStable(t *testing.T) {
	m := &manifest{
		format: "step manifest 2", step: "figure:a", code: "c", toolchain: "go1.26 linux/amd64 GOAMD64=v1",
		params: []param{{"n", "1"}, {"x", `{"a":[1.5,2]}`}},
		env:    []variable{{"A", true, [32]byte{1}}, {"B", false, [32]byte{2}}},
		tools:  []param{{"R", "4.4"}},
		inputs: []group{
			{File("work", "in"), listOf(entry{kind: kindFile, ref: Ref{"work", "in"}, size: 300, sum: [32]byte{3}})},
			{Glob("work", "*.db").As("duckdb"), listOf(entry{kind: kindMeaning, ref: Ref{"work", "x.db"}, meaning: "duckdb 1"})},
			{Names("work", "*"), listOf(entry{kind: kindNamedFile, ref: Ref{"work", "ab"}}, entry{kind: kindNamedDir, ref: Ref{"work", "ac"}})},
			{Absent("work", "no"), listOf(entry{kind: kindAbsent, ref: Ref{"work", "no"}})},
			{OutputsOf("run:*"), listOf(entry{kind: kindTree, ref: Ref{"work", "t"}, size: 5, sum: [32]byte{4}})},
		},
		outputs: []string{"work:out\x00"},
		ledgers: listOf(entry{kind: kindFile, ref: Ref{"private", "l"}, size: 1, sum: [32]byte{5}}),
	}
	const want = "8eef869f584a024b6d08b10797bfd432190981a6f59bfdbac44d459a18029944"
	if got := keyOf(m.encode()...).String(); got != want {
		t.Errorf("the key is %s, want %s", got, want)
	}
}

// notInKey are the fields of Step that may change without making it stale.
var notInKey = map[string]string{
	"Doc":          "for people",
	"Pool":         "how it is scheduled",
	"Weight":       "how it is scheduled",
	"Weigh":        "how it is scheduled",
	"Timeout":      "how it is scheduled",
	"Retries":      "how it is scheduled",
	"Declassifies": "what is allowed, not what is done",
	"Grow":         "grown steps have keys of their own",
	"Grows":        "grown steps have keys of their own",
	"Run":          "a function has no digest; Code stands for it",
	"Redact":       "what is shown of it",
	"Probed":       "what it holds stands in the parameters",
	"each":         "steps of Map have keys of their own",
}

// TestEveryFieldIsInTheKey sets one field of a step after the other and
// expects another manifest, unless the field is listed.
func TestEveryFieldIsInTheKey(t *testing.T) {
	changes := map[string]func(*Step){
		"Name":    func(s *Step) { s.Name = "b" },
		"Inputs":  func(s *Step) { s.Inputs = append(s.Inputs, Glob("work", "*.none")) },
		"Outputs": func(s *Step) { s.Outputs = append(s.Outputs, Out("work", "more")) },
		"Ledgers": func(s *Step) { s.Ledgers = append(s.Ledgers, Ref{"work", "l"}) },
		"Params":  func(s *Step) { s.Params = map[string]any{"p": 2} },
		"MakeParams": func(s *Step) {
			s.Params, s.MakeParams = nil, func() map[string]any { return map[string]any{"p": 3} }
		},
		"Env":     func(s *Step) { s.Env = []string{"BUILD_TEST_NO_SUCH_VARIABLE"} },
		"Code":    func(s *Step) { s.Code = []string{"q"} },
		"Tools":   func(s *Step) { s.Tools = map[string]string{"R": "4"} },
		"Command": func(s *Step) { s.Run, s.Command = nil, []string{"true", "{out}"} },
		"Stdout":  func(s *Step) { s.Run, s.Command, s.Stdout = nil, []string{"true", "{out}"}, "{out}" },
	}
	sp := newSpace(t)
	sp.write("in", "1")
	key := func(change func(*Step)) string {
		step := Step{Name: "a", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "a")}, Params: map[string]any{"p": 1}, Code: []string{"p"}, Run: nothing}
		change(&step)
		g, err := New(sp.opt, []Step{step})
		if err != nil {
			t.Fatal(err)
		}
		s, err := g.open(t.Context(), nil, false, false)
		if err != nil {
			t.Fatal(err)
		}
		d := s.decide(t.Context(), s.plan.nodes[0])
		if d.verdict != WillRun {
			t.Fatalf("verdict %s %v", d.verdict, d.reasons)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		return d.key.String()
	}
	seen := []string{key(func(*Step) {})}
	fields := reflect.TypeFor[Step]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		if why, ok := notInKey[name]; ok {
			if why == "" || changes[name] != nil {
				t.Errorf("the field %s is listed without a reason, or twice", name)
			}
			continue
		}
		change := changes[name]
		if change == nil {
			t.Errorf("the field %s of Step is neither in the key nor listed as not in it", name)
			continue
		}
		k := key(change)
		if slices.Contains(seen, k) {
			t.Errorf("a change of %s does not change the key", name)
		}
		seen = append(seen, k)
	}
	t.Setenv("BUILD_TEST_NO_SUCH_VARIABLE", "1")
	if k := key(changes["Env"]); slices.Contains(seen, k) {
		t.Error("the value of an environment variable is not in the key")
	}
	if want := runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + " "; !strings.HasPrefix(toolchain(), want) {
		t.Errorf("the toolchain is %q, want %q and the level of the architecture", toolchain(), want)
	}
}

func TestKeyHoldsNoPlace(t *testing.T) {
	keys := map[string]bool{}
	for range 2 {
		sp := newSpace(t)
		sp.write("in", "1")
		sp.steps = []Step{{Name: "a", Inputs: []Input{Glob("work", "i*")}, Outputs: []Output{Out("work", "a")}, Run: concat}}
		sp.expect("ran a")
		s, err := sp.graph().open(t.Context(), nil, false, false)
		if err != nil {
			t.Fatal(err)
		}
		d := s.decide(t.Context(), s.plan.nodes[0])
		if strings.Contains(string(d.manifest.encode().joined()), sp.dir) {
			t.Error("the manifest holds an absolute path")
		}
		keys[d.key.String()] = true
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(keys) != 1 {
		t.Errorf("the same step in two directories has %d keys", len(keys))
	}
}

// FuzzManifest holds that the encoding of manifests is injective: whatever bytes
// can be read as a manifest are the bytes that it is written as, so that two
// different manifests never have the same ones, and one never has two.
func FuzzManifest(f *testing.F) {
	for _, m := range []*manifest{
		{},
		{format: manifestFormat, step: "a", code: "c", toolchain: "t", params: []param{{"p", "1"}}, env: []variable{{"E", true, store.Sum{1}}},
			tools: []param{{"awk", "2"}}, outputs: []string{"work:out\x00"},
			inputs: []group{
				{Input{kind: inFile, root: "work", pattern: "in"}, listOf(entry{kind: kindFile, ref: Ref{"work", "in"}, size: 300, sum: store.Sum{2}})},
				{Input{kind: inGlob, root: "work", pattern: "*", as: "k"}, listOf(entry{kind: kindMeaning, ref: Ref{"work", "x"}, meaning: "k m"}, entry{kind: kindAbsent, ref: Ref{"work", "y"}})},
			},
			ledgers: listOf(entry{kind: kindAbsent, ref: Ref{"work", "l"}})},
	} {
		f.Add(m.encode().joined())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeManifest(b)
		if err != nil {
			return
		}
		if again := m.encode().joined(); !bytes.Equal(again, b) {
			t.Errorf("%q is read as a manifest and written as %q", b, again)
		}
	})
}

// TestLongManifest holds the key of a manifest in many pieces, encoded or digested so, to
// what it was when manifests were encoded from lists of entries.
func TestLongManifest(t *testing.T) {
	var b entryWriter
	for i := range 300 {
		run := fmt.Sprintf("1/%03d/", i)
		b.add(entry{kind: kindFile, ref: Ref{"store", run + "meta.yaml"}, size: int64(i * i), sum: store.Sum{byte(i)}})
		b.add(entry{kind: kindMeaning, ref: Ref{"store", run + "params"}, meaning: fmt.Sprint("k ", i)})
		b.add(entry{kind: kindNamedDir, ref: Ref{"store", run + "tags"}})
	}
	m := &manifest{format: "test", step: "s", code: "c", toolchain: "t", inputs: []group{
		{Glob("store", "*/*/*"), b.list()}, {File("work", "in"), listOf(entry{kind: kindAbsent, ref: Ref{"work", "in"}})}}}
	if n := len(m.inputs[0].entries.text); n < 100 {
		t.Fatalf("%d pieces", n)
	}
	const want = "2477c27479cd9a797339466100e9b88a24624ea781321be69bfdb37f0beaa511"
	var w writer
	if got := m.key(&w); got.String() != want || len(w.b) > 0 {
		t.Errorf("digested in pieces: %s, and %d bytes are left, want %s", got, len(w.b), want)
	}
	if got := keyOf(m.encode()...); got.String() != want {
		t.Errorf("encoded: %s, want %s", got, want)
	}
}

// TestRecordThatIsCut takes nothing of the beginning of a record for all that was made.
func TestRecordThatIsCut(t *testing.T) {
	rec := record{key: store.Sum{1}, elapsed: time.Second, outs: []made{
		{ref: Ref{"out", "a"}, size: 3, sum: store.Sum{2}},
		{ref: Ref{"out", "t"}, tree: true, files: []treeFile{{"b", 1, store.Sum{3}}, {"c", 2, store.Sum{4}}}},
	}, manifest: pieces{[]byte("manifest")}}
	body := rec.stored("s").Body // ends with the length of the manifest
	for n := range len(body) - 1 {
		if made, err := (&reader{b: body[:n]}).madeBy(rec.key); err == nil {
			t.Errorf("the first %d of %d bytes say that %d outputs were made", n, len(body), len(made.outs))
		}
	}
	if made, err := (&reader{b: body[:len(body)-1]}).madeBy(rec.key); err != nil || len(made.outs) != len(rec.outs) {
		t.Errorf("without the manifest: %v, %v", made, err)
	}
}
