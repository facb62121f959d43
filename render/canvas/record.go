package canvas

import (
	"fmt"
	"image/color"
)

// Recorder keeps what is written on a page, and passes everything on to
// another canvas where it has one.
type Recorder struct {
	Next  Canvas
	Texts []Text
}

// Fill implements Canvas.
func (r *Recorder) Fill(p Path, ink color.NRGBA) {
	if r.Next != nil {
		r.Next.Fill(p, ink)
	}
}

// Stroke implements Canvas.
func (r *Recorder) Stroke(p Path, pen Pen) {
	if r.Next != nil {
		r.Next.Stroke(p, pen)
	}
}

// Text implements Canvas.
func (r *Recorder) Text(t Text) {
	r.Texts = append(r.Texts, t)
	if r.Next != nil {
		r.Next.Text(t)
	}
}

// Strings gives the texts in the order of drawing.
func (r *Recorder) Strings() []string {
	out := make([]string, len(r.Texts))
	for i, t := range r.Texts {
		out[i] = t.S
	}
	return out
}

// Collisions names every text whose ink leaves the page and every two whose
// ink meets.
func (r *Recorder) Collisions(page Rect) ([]string, error) {
	boxes := make([]Rect, 0, len(r.Texts))
	texts := make([]string, 0, len(r.Texts))
	var found []string
	for _, t := range r.Texts {
		box, ok, err := t.Box()
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if !page.Contains(box) {
			found = append(found, fmt.Sprintf("%q leaves the page: %.2f", t.S, box))
		}
		for i, other := range boxes {
			if box.Overlaps(other) {
				found = append(found, fmt.Sprintf("%q %.2f meets %q %.2f", t.S, box, texts[i], other))
			}
		}
		boxes, texts = append(boxes, box), append(texts, t.S)
	}
	return found, nil
}
