package render

import (
	"fmt"
	"image/color"
	"math"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
	"github.com/foundation-plr/pipeline/render/house"
)

// drawRisk draws a row a pipeline: the share of each outcome's subjects in each
// bin of risk, controls upwards and glaucoma downwards from one line, and every
// single risk as a stroke.
func drawRisk(p *house.Page, panel sidecar.Panel, plot, side canvas.Rect) error {
	r := panel.Risk
	x := house.NewScale(r.Edges[0], r.Edges[len(r.Edges)-1], plot.X, plot.Right())
	largest := 0.0
	same := true
	for _, g := range r.Groups {
		controls, events := total(g.Control), total(g.Event)
		if controls == 0 || events == 0 {
			return fmt.Errorf("%s has %d controls and %d events: a distribution needs both", g.Label, controls, events)
		}
		same = same && members(g) == members(r.Groups[0])
		for i := range g.Control {
			largest = max(largest, float64(g.Control[i])/float64(controls), float64(g.Event[i])/float64(events))
		}
	}
	step := house.NiceStep(largest, 2)
	largest = math.Ceil(largest/step-1e-9) * step

	const air, rug = 1.6, 0.9
	height := plot.H / float64(len(r.Groups))
	half := height/2 - air/2 - rug
	if half < 1.5 {
		return fmt.Errorf("%d pipelines do not fit in one panel", len(r.Groups))
	}
	tick := house.Label(house.SizeTiny, canvas.Right)
	for i, g := range r.Groups {
		mid := plot.Y + (float64(i)+0.5)*height
		up := house.NewScale(0, largest, mid, mid-half)
		down := house.NewScale(0, largest, mid, mid+half)
		bars(p, r.Edges, g.Control, x, up, house.Control)
		bars(p, r.Edges, g.Event, x, down, house.Event)
		strokes(p, g.ControlRisks, x, up.B-0.2, up.B-0.2-rug, house.Control)
		strokes(p, g.EventRisks, x, down.B+0.2, down.B+0.2+rug, house.Event)
		p.Line(plot.X, mid, plot.Right(), mid, house.Black, house.LineThin, nil)
		p.Line(plot.X, up.B, plot.X, down.B, house.Black, house.LineAxis, nil)
		for _, s := range []struct {
			y    float64
			text string
		}{{up.B, percent(largest)}, {mid, "0"}, {down.B, percent(largest)}} {
			p.Line(plot.X, s.y, plot.X-1, s.y, house.Black, house.LineAxis, nil)
			p.Text(plot.X-1.6, s.y, s.text, tick)
		}
	}
	xAxis(p, plot, x, panel.X)
	yTitle(p, plot, plot.Y+plot.H/2, panel.Y+" (% of outcome group)")

	// Names stand at their rows, the outcomes' key below them.
	for i, g := range r.Groups {
		details := []string{"Discr. slope " + house.ValueText(g.Discrimination, calibrationDecimals)}
		if !same {
			details = append(details, subjects(g))
		}
		if p.Moved[panel.ID] {
			details = nil
		}
		t := house.Label(house.SizeSmall, canvas.Left)
		lines := p.Wrap(g.Label, side.W, t)
		h := float64(len(lines)) * house.LineHeight(house.SizeSmall)
		var small []string
		for _, d := range details {
			small = append(small, p.Wrap(d, side.W, house.Label(house.SizeTiny, canvas.Left))...)
		}
		h += float64(len(small)) * house.LineHeight(house.SizeTiny)
		if h > height {
			if p.Moved[panel.ID] {
				return fmt.Errorf("name of %s does not fit beside its row: shorten it", g.Label)
			}
			p.Moved[panel.ID] = true
			return nil
		}
		y := plot.Y + (float64(i)+0.5)*height - h/2
		for _, s := range lines {
			p.Text(side.X, y+house.LineHeight(house.SizeSmall)/2, s, t)
			y += house.LineHeight(house.SizeSmall)
		}
		for _, s := range small {
			p.Text(side.X, y+house.LineHeight(house.SizeTiny)/2, s, house.Label(house.SizeTiny, canvas.Left))
			y += house.LineHeight(house.SizeTiny)
		}
	}
	of := members(r.Groups[0])
	y := plot.Bottom() + 2.2
	for _, o := range []struct {
		name  string
		color house.Look
		n     int
	}{{"Control", house.Look{Color: house.Control}, of.controls}, {"Glaucoma", house.Look{Color: house.Event}, of.events}} {
		p.Fill(canvas.Rectangle(canvas.Rect{X: side.X, Y: y - 0.9, W: 3, H: 1.8}), o.color.Color)
		text := o.name
		if same {
			text += fmt.Sprintf(" (n = %d)", o.n)
		}
		p.Text(side.X+4, y, text, house.Label(house.SizeSmall, canvas.Left))
		y += 3
	}
	return nil
}

// subjects says how many subjects of each outcome a pipeline has.
func subjects(g sidecar.RiskGroup) string {
	of, noun := members(g), "controls"
	if of.controls == 1 {
		noun = "control"
	}
	return fmt.Sprintf("%d %s, %d glaucoma", of.controls, noun, of.events)
}

type outcomes struct{ controls, events int }

// members are those whose risks are drawn, or those counted in bins where the
// database holds no risks of single subjects.
func members(g sidecar.RiskGroup) outcomes {
	if len(g.ControlRisks)+len(g.EventRisks) == 0 {
		return outcomes{total(g.Control), total(g.Event)}
	}
	return outcomes{len(g.ControlRisks), len(g.EventRisks)}
}

func total(counts []int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

func percent(share float64) string { return house.Number(100*share, 0) }

// bars draws a histogram of shares as one area.
func bars(p *house.Page, edges []float64, counts []int, x, y house.Scale, c color.NRGBA) {
	n := float64(total(counts))
	var path canvas.Path
	path.MoveTo(x.At(edges[0]), y.A)
	for i, k := range counts {
		h := y.At(float64(k) / n)
		path.LineTo(x.At(edges[i]), h)
		path.LineTo(x.At(edges[i+1]), h)
	}
	path.LineTo(x.At(edges[len(edges)-1]), y.A)
	path.Close()
	p.Fill(path, house.Translucent(c, 0.75))
}

func strokes(p *house.Page, risks []float64, x house.Scale, from, to float64, c color.NRGBA) {
	var path canvas.Path
	for _, r := range risks {
		path.MoveTo(x.At(r), from)
		path.LineTo(x.At(r), to)
	}
	p.Stroke(path, house.Translucent(c, 0.8), 0.3, nil)
}
