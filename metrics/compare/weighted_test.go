package compare

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// aurocOf is the AUROC of a sample as a function of weights, pair by pair.
func aurocOf(s *metrics.Sample) Weighted {
	y, p := s.Outcomes(), s.Risks()
	return func(d *Drawn, values [][]float64) {
		for r := range values[0] {
			var sum, pairs, means float64
			for i := range y {
				share := d.Weights[i][r] / float64(d.All[y[i]][r])
				means += p[i] * share * float64(2*y[i]-1)
				for j := range y {
					if y[i] == 1 && y[j] == 0 {
						w := float64(d.Counts[i][r]) * float64(d.Counts[j][r])
						pairs += w
						switch {
						case p[i] > p[j]:
							sum += w
						case p[i] == p[j]:
							sum += w / 2
						}
					}
				}
			}
			values[0][r] = sum / pairs
			if len(values) > 1 {
				values[1][r] = means
			}
		}
	}
}

// Statistics as functions of weights have the replicates that samples give.
func TestResampleWeighted(t *testing.T) {
	samples := grid(t, 3, 40, 12, func(c int) float64 { return float64(c) }, 1)
	var weighted []Weighted
	for _, s := range samples {
		weighted = append(weighted, aurocOf(s))
	}
	both, err := ResampleWeighted(samples[0].Outcomes(), weighted, 2, 50, 7)
	if err != nil {
		t.Fatal(err)
	}
	same := func(a, b []float64) bool {
		return slices.EqualFunc(a, b, func(x, y float64) bool { return agree(x, y, 1e-12) || math.IsNaN(x) && math.IsNaN(y) })
	}
	for k, statistic := range []metrics.Statistic{metrics.StatisticAUROC, metrics.StatisticDiscrimination} {
		want, err := Resample(samples, statistic, 50, 7, metrics.Stratified)
		if err != nil {
			t.Fatal(err)
		}
		got := both[k]
		for c := range samples {
			if !agree(got.estimates[c], want.estimates[c], 1e-12) || !same(got.replicates[c], want.replicates[c]) || !same(got.outOfBag[c], want.outOfBag[c]) {
				t.Errorf("%s: configuration %d has other replicates", statistic.Key, c)
			}
			for h := range want.jackknife[c] {
				if !same(got.jackknife[c][h], want.jackknife[c][h]) {
					t.Errorf("%s: configuration %d, stratum %d has another jackknife", statistic.Key, c, h)
				}
			}
		}
	}
	constant := func(v float64) Weighted {
		return func(_ *Drawn, values [][]float64) {
			for r := range values[0] {
				values[0][r] = v
			}
		}
	}
	if _, err := ResampleWeighted([]int{0, 1}, []Weighted{constant(1), constant(math.NaN())}, 1, 10, 1); err == nil || !strings.Contains(err.Error(), "configuration 2") {
		t.Errorf("error %v of a statistic that is undefined", err)
	}
	if _, err := ResampleWeighted([]int{0, 2}, weighted, 1, 10, 1); err == nil || !strings.Contains(err.Error(), "row 2") {
		t.Errorf("error %v of an outcome of 2", err)
	}
}

// Sums of words by table are those of the counts, whatever the number of subjects, and
// neither how many resamples are drawn at once nor how often a subject is drawn matters.
func TestSum(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {3, 2}, {4, 5}, {15, 17}, {16, 40}} {
		var outcomes []int
		for i := range size[0] + size[1] {
			outcomes = append(outcomes, (i*7+i/3)%2)
		}
		slices.Sort(outcomes[:len(outcomes)/2])
		words := make([]uint64, len(outcomes))
		for i := range words {
			words[i] = uint64(i+1) << (i % 40)
		}
		most := int32(0)
		sums := func(d *Drawn, values [][]float64) {
			for y := range 2 {
				got := slices.Clone(d.Sum(y, words))
				for r := range got {
					var want uint64
					for i, counts := range d.Counts {
						if outcomes[i] == y {
							want += uint64(counts[r]) * words[i]
							most = max(most, counts[r])
						}
					}
					if got[r] != want {
						t.Fatalf("%v subjects, outcome %d, resample %d: the sum is %d, not %d", size, y, r, got[r], want)
					}
					values[y][r] = float64(want)
				}
			}
		}
		at := func(bytes int) []*Paired {
			saved := drawnBytes
			drawnBytes = bytes
			defer func() { drawnBytes = saved }()
			all, err := ResampleWeighted(outcomes, []Weighted{sums}, 2, 300, 5)
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if whole, parts := at(drawnBytes), at(1); !reflect.DeepEqual(whole, parts) {
			t.Errorf("%v subjects: resamples drawn in parts give other replicates", size)
		}
		if size[0] > 10 && most <= mostInByte {
			t.Errorf("%v subjects: none was drawn more than %d times", size, mostInByte)
		}
	}
}

// A contrast in the memory of another is the same.
func TestContrastSet(t *testing.T) {
	p, err := Resample(grid(t, 3, 40, 12, func(c int) float64 { return float64(c) }, 1), metrics.StatisticAUROC, 60, 7, metrics.Stratified)
	if err != nil {
		t.Fatal(err)
	}
	again := new(Contrast)
	for _, weights := range []map[int]float64{{0: 1, 1: -1}, {2: 1}, {0: 0.5, 1: 0.5, 2: -1}} {
		want, err := p.Contrast(weights)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Set(p, weights); err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("%v: %v, %+v, not %+v", weights, err, again, want)
		}
	}
}

// Ranks are selected as the best is, and the one that is selected in resamples is
// scored in the others.
func TestTop(t *testing.T) {
	p := &Paired{
		estimates:  []float64{0.5, 0.9, 0.7, 0.9},
		replicates: [][]float64{{0.6, 0.5}, {0.8, 0.4}, {0.7, math.NaN()}, {0.9, 0.7}},
		outOfBag:   [][]float64{{0.1, 0.2}, {0.3, 0.4}, {0.5, 0.6}, {0.7, math.NaN()}},
	}
	top, err := p.Top(3, false)
	if err != nil {
		t.Fatal(err)
	}
	for r, want := range []struct {
		configuration, undefined int
		corrected                float64
	}{{1, 1, 0}, {3, 0, 0.25}, {2, 0, 0.45}} {
		b := top[r]
		if b.Configuration != want.configuration || b.Undefined != want.undefined || !agree(b.Corrected, want.corrected, 1e-12) {
			t.Errorf("rank %d: %+v, want %+v", r+1, b, want)
		}
	}
	if top[0].Reason != metrics.TooManyUndefinedReplicates || top[1].Wins[1] != 1 || top[1].Wins[0] != 1 {
		t.Errorf("the first %+v, the second %+v", top[0], top[1])
	}
	lowest, err := p.Top(9, true, 0, 2)
	if err != nil || len(lowest) != 2 || lowest[0].Configuration != 0 {
		t.Errorf("the lowest of two: %+v, %v", lowest, err)
	}
	if _, err := p.Top(1, false, 4); err == nil {
		t.Error("no error of a configuration that is not there")
	}
}

// Of equally good configurations the interval of the corrected best covers their
// common truth, and that of the apparent best does not.
func TestCorrectedInterval(t *testing.T) {
	const truth = 0.7602499389065233 // Φ(1/√2), the AUROC of a shift by 1
	covered, naive := 0, 0
	const studies = 40
	for study := range studies {
		samples := grid(t, 30, 63, 17, func(int) float64 { return 1 }, uint64(100+study))
		p, err := Resample(samples, metrics.StatisticAUROC, 200, 1, metrics.Stratified)
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Best(false)
		if err != nil {
			t.Fatal(err)
		}
		i := p.CorrectedInterval(b, 0.95)
		alone, err := p.Contrast(map[int]float64{b.Configuration: 1})
		if err != nil {
			t.Fatal(err)
		}
		raw := alone.Interval(resample.Options{Method: resample.Percentile, Level: 0.95})
		if !i.Defined() || i.Method != Recentred || !(i.Lower < b.Corrected && b.Corrected < i.Upper) {
			t.Fatalf("%+v about %v", i, b.Corrected)
		}
		if i.Lower <= truth && truth <= i.Upper {
			covered++
		}
		if raw.Lower <= truth && truth <= raw.Upper {
			naive++
		}
	}
	if covered < studies*90/100 || naive > studies*70/100 {
		t.Errorf("the corrected interval covers the truth in %d, the naive in %d of %d", covered, naive, studies)
	}
}
