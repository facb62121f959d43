package history

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	public, private := t.TempDir(), t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.FixedZone("east", 3600))
	r, err := New(public, private, now)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.ID(), "20260102T020405.006Z-") {
		t.Errorf("id %s", r.ID())
	}
	if _, err := os.Stat(r.Dir()); err == nil {
		t.Error("the directory is there before the first event")
	}
	for i := range 2 {
		if err := r.Add(Event{Time: now, Event: "step", Step: fmt.Sprint(i), State: "ran"}, false); err != nil {
			t.Fatal(err)
		}
	}
	for _, secret := range []bool{false, true} {
		f, err := r.Log("figure:a%b", 1, secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(f.Name())
		if err != nil || (info.Mode().Perm() == 0o600) != secret {
			t.Errorf("log %s: %v %v", f.Name(), info.Mode(), err)
		}
	}
	if err := r.Finish(Summary{Ran: 2}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(r.Dir(), "events.jsonl"))
	if err != nil || strings.Count(string(b), "\n") != 2 {
		t.Errorf("events: %s %v", b, err)
	}
	var sum Summary
	b, err = os.ReadFile(filepath.Join(r.Dir(), "summary.json"))
	if err != nil || json.Unmarshal(b, &sum) != nil || sum.Ran != 2 || sum.ID != r.ID() {
		t.Errorf("summary: %s %v", b, err)
	}
}

func TestPrune(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		builds, keep int
		before       time.Time
		left         int
	}{
		"few":                  {5, 200, begin.Add(day / 2), 5},
		"by count":             {5, 2, begin, 2},
		"by age":               {15, 200, begin.Add(3*day - time.Hour), 12},
		"the last always stay": {15, 200, begin.Add(100 * day), keepAlways},
		"by both":              {15, 11, begin.Add(2 * day), 11},
	} {
		t.Run(name, func(t *testing.T) {
			tier := t.TempDir()
			var ids []string
			for i := range c.builds {
				r, err := New(tier, "", begin.Add(time.Duration(i)*day))
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Finish(Summary{}); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, r.ID())
			}
			if !slices.IsSorted(ids) {
				t.Errorf("ids do not sort by time: %v", ids)
			}
			if err := os.Mkdir(filepath.Join(tier, runsDir, "mine"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := Prune(tier, c.keep, c.before); err != nil {
				t.Fatal(err)
			}
			left, err := IDs(tier)
			if want := ids[c.builds-c.left:]; err != nil || !slices.Equal(left, want) {
				t.Errorf("left %v, want %v; %v", left, want, err)
			}
			if _, err := os.Stat(filepath.Join(tier, runsDir, "mine")); err != nil {
				t.Error("it removed what is no build")
			}
		})
	}
	if err := Prune(t.TempDir(), 2, begin); err != nil {
		t.Errorf("a tier without history: %v", err)
	}
}
