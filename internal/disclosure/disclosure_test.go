package disclosure

import (
	"math"
	"slices"
	"testing"
)

// What the table meta says of privacy is read as it was meant, and is of the closed
// list by which it is checked.
func TestPrivacyInMeta(t *testing.T) {
	for _, p := range []Privacy{
		{}, {SubjectTables: true}, {RoundRisks: 1}, {SubjectTables: true, RoundRisks: 6}, {SubjectTables: true, BootstrapRisks: true},
	} {
		meta := p.Meta()
		if got := PrivacyOf(meta); got != p {
			t.Errorf("%+v is read as %+v", p, got)
		}
		values := PrivacyValues()
		if len(meta) != len(values) {
			t.Errorf("%+v: meta has %v, known are %v", p, meta, values)
		}
		for key, value := range meta {
			if !slices.Contains(values[key], value) {
				t.Errorf("%+v: %s is %s, known are %v", p, key, value, values[key])
			}
		}
	}
}

func TestRounded(t *testing.T) {
	for _, c := range []struct {
		decimals       int
		risk, want, by float64
	}{
		{0, 0.123456789, 0.123456789, 0}, {1, 0.15000001, 0.2, 0.05}, {2, 0.124, 0.12, 0.005}, {6, 0.1234567, 0.123457, 5e-7},
	} {
		p := Privacy{RoundRisks: c.decimals}
		if got := p.Rounded(c.risk); got != c.want || math.Abs(p.HalfUnit()-c.by) > 1e-18 {
			t.Errorf("%v to %d decimals: %v by up to %v, want %v and %v", c.risk, c.decimals, got, p.HalfUnit(), c.want, c.by)
		}
		if !math.IsNaN(p.Rounded(math.NaN())) {
			t.Errorf("NaN to %d decimals is a number", c.decimals)
		}
	}
}

// Texts that a person could have written are not of the published forms.
func TestForms(t *testing.T) {
	for text, want := range map[string][5]bool{ // code, run id, public run, digest, reader
		"H001":                             {true},
		"G1234":                            {true},
		"H01":                              {},
		"S-1":                              {},
		"Jane Doe":                         {},
		"00000000000000000000000000abc001": {1: true, 2: true},
		"other-7":                          {2: true},
		"other-0":                          {},
		"0000000000000000000000000000000000000000000000000000000000000001": {3: true},
		"plr.run/3":      {4: true},
		"plr.run/Jane":   {},
		"H001\nJane Doe": {},
	} {
		got := [5]bool{CodeForm.MatchString(text), RunIDForm.MatchString(text), PublicRunForm.MatchString(text), DigestForm.MatchString(text), ReaderForm.MatchString(text)}
		if got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if !PublicRunForm.MatchString(OtherRun(12)) {
		t.Error("what stands for a run is not of the published form")
	}
	for name, want := range map[string]bool{Unregistered + "3": true, Unregistered + "0": false, Unregistered + "x": false, "LOF": false, "3": false} {
		if IsUnregistered(name) != want {
			t.Errorf("%s stands for a name: %v", name, !want)
		}
	}
	for setting, want := range map[[2]string]bool{
		{"thresholds", "0.05 0.1"}: true, {ScopeSetting, ScopePart}: true, {"path", "/home/jane"}: false, {"name", "Jane"}: false, {"Name", "jane"}: false, {"note", ""}: false,
	} {
		if PublishedSetting(setting[0], setting[1]) != want {
			t.Errorf("%q is published: %v", setting, !want)
		}
	}
}
