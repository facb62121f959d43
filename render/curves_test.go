package render

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/foundation-plr/pipeline/render/canvas"
)

func TestCutStaysInside(t *testing.T) {
	r := canvas.Rect{X: 10, Y: 10, W: 20, H: 10}
	rapid.Check(t, func(t *rapid.T) {
		coordinate := rapid.Float64Range(0, 40)
		points := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) canvas.Point {
			return canvas.Point{X: coordinate.Draw(t, "x"), Y: coordinate.Draw(t, "y")}
		}), 2, 12).Draw(t, "points")
		inside := true
		for _, q := range points {
			inside = inside && r.Contains(canvas.Rect{X: q.X, Y: q.Y})
		}
		p := cut(points, r)
		for _, s := range p {
			q := s.Points[0]
			if q.X < r.X-1e-9 || q.X > r.Right()+1e-9 || q.Y < r.Y-1e-9 || q.Y > r.Bottom()+1e-9 {
				t.Fatalf("%v lies outside", q)
			}
		}
		if inside && len(p) != len(points) {
			t.Fatalf("a curve inside was cut: %d of %d points", len(p), len(points))
		}
	})
	if p := cut([]canvas.Point{{X: 0, Y: 15}, {X: 40, Y: 15}}, r); len(p) != 2 || p[0].Points[0].X != 10 || p[1].Points[0].X != 30 {
		t.Errorf("a line across is %v", p)
	}
	if p := cut([]canvas.Point{{X: 0, Y: 0}, {X: 40, Y: 0}}, r); len(p) != 0 {
		t.Errorf("a line outside is %v", p)
	}
}
