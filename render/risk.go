package render

import (
	"fmt"
	"image/color"
	"math"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
)

// drawRisk draws a row a pipeline: the share of each outcome's subjects in each
// bin of risk, controls upwards and glaucoma downwards from one line, and every
// single risk as a stroke.
func drawRisk(p *page, panel sidecar.Panel, plot, side canvas.Rect) error {
	r := panel.Risk
	x := scale{r.Edges[0], r.Edges[len(r.Edges)-1], plot.X, plot.Right()}
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
	step := niceStep(largest, 2)
	largest = math.Ceil(largest/step-1e-9) * step

	const air, rug = 1.6, 0.9
	height := plot.H / float64(len(r.Groups))
	half := height/2 - air/2 - rug
	if half < 1.5 {
		return fmt.Errorf("%d pipelines do not fit in one panel", len(r.Groups))
	}
	tick := label(sizeTiny, canvas.Right)
	for i, g := range r.Groups {
		mid := plot.Y + (float64(i)+0.5)*height
		up := scale{0, largest, mid, mid - half}
		down := scale{0, largest, mid, mid + half}
		bars(p, r.Edges, g.Control, x, up, control)
		bars(p, r.Edges, g.Event, x, down, event)
		strokes(p, g.ControlRisks, x, up.b-0.2, up.b-0.2-rug, control)
		strokes(p, g.EventRisks, x, down.b+0.2, down.b+0.2+rug, event)
		p.line(plot.X, mid, plot.Right(), mid, black, lineThin, nil)
		p.line(plot.X, up.b, plot.X, down.b, black, lineAxis, nil)
		for _, s := range []struct {
			y    float64
			text string
		}{{up.b, percent(largest)}, {mid, "0"}, {down.b, percent(largest)}} {
			p.line(plot.X, s.y, plot.X-1, s.y, black, lineAxis, nil)
			p.text(plot.X-1.6, s.y, s.text, tick)
		}
	}
	xAxis(p, plot, x, panel.X)
	yTitle(p, plot, plot.Y+plot.H/2, panel.Y+" (% of outcome group)")

	// Names stand at their rows, the outcomes' key below them.
	for i, g := range r.Groups {
		details := []string{"Discr. slope " + valueText(g.Discrimination, calibrationDecimals)}
		if !same {
			details = append(details, subjects(g))
		}
		if p.moved[panel.ID] {
			details = nil
		}
		t := label(sizeSmall, canvas.Left)
		lines := p.wrap(g.Label, side.W, t)
		h := float64(len(lines)) * lineHeight(sizeSmall)
		var small []string
		for _, d := range details {
			small = append(small, p.wrap(d, side.W, label(sizeTiny, canvas.Left))...)
		}
		h += float64(len(small)) * lineHeight(sizeTiny)
		if h > height {
			if p.moved[panel.ID] {
				return fmt.Errorf("name of %s does not fit beside its row: shorten it", g.Label)
			}
			p.moved[panel.ID] = true
			return nil
		}
		y := plot.Y + (float64(i)+0.5)*height - h/2
		for _, s := range lines {
			p.text(side.X, y+lineHeight(sizeSmall)/2, s, t)
			y += lineHeight(sizeSmall)
		}
		for _, s := range small {
			p.text(side.X, y+lineHeight(sizeTiny)/2, s, label(sizeTiny, canvas.Left))
			y += lineHeight(sizeTiny)
		}
	}
	of := members(r.Groups[0])
	y := plot.Bottom() + 2.2
	for _, o := range []struct {
		name  string
		color look
		n     int
	}{{"Control", look{color: control}, of.controls}, {"Glaucoma", look{color: event}, of.events}} {
		p.fill(canvas.Rectangle(canvas.Rect{X: side.X, Y: y - 0.9, W: 3, H: 1.8}), o.color.color)
		text := o.name
		if same {
			text += fmt.Sprintf(" (n = %d)", o.n)
		}
		p.text(side.X+4, y, text, label(sizeSmall, canvas.Left))
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

func percent(share float64) string { return number(100*share, 0) }

// bars draws a histogram of shares as one area.
func bars(p *page, edges []float64, counts []int, x, y scale, c color.NRGBA) {
	n := float64(total(counts))
	var path canvas.Path
	path.MoveTo(x.at(edges[0]), y.a)
	for i, k := range counts {
		h := y.at(float64(k) / n)
		path.LineTo(x.at(edges[i]), h)
		path.LineTo(x.at(edges[i+1]), h)
	}
	path.LineTo(x.at(edges[len(edges)-1]), y.a)
	path.Close()
	p.fill(path, translucent(c, 0.75))
}

func strokes(p *page, risks []float64, x scale, from, to float64, c color.NRGBA) {
	var path canvas.Path
	for _, r := range risks {
		path.MoveTo(x.at(r), from)
		path.LineTo(x.at(r), to)
	}
	p.stroke(path, translucent(c, 0.8), 0.3, nil)
}
