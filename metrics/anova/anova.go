// Package anova is analysis of variance of a result over factors, with sums of
// squares of type I, II and III, its measures of effect, and the checks of its
// assumptions (Levene, Shapiro-Wilk).
//
// Observations must be independent. Configurations judged on the same subjects are
// not: there the sums of squares describe how results vary over the grid, and the
// p-values mean nothing.
package anova

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mathext"
)

// Type says what the sum of squares of a term is adjusted for.
type Type int

// Types of sums of squares.
const (
	TypeI   Type = 1 // the terms before it
	TypeII  Type = 2 // all terms that do not contain it
	TypeIII Type = 3 // all other terms, with contrasts that sum to zero
)

// Factor is a categorical variable: the level of each observation.
type Factor struct {
	Name   string
	Levels []string
}

// Effect is a row of the table. F and P are NaN where no degrees of freedom remain
// or the residual is 0.
type Effect struct {
	Term string
	DF   int
	SS   float64
	F, P float64
	// Eta2 is SS over the corrected total, PartialEta2 over SS and residual. Omega2
	// and PartialOmega2 are less biased and may be below 0.
	Eta2, PartialEta2, Omega2, PartialOmega2 float64
}

// CohensF is sqrt(η²/(1-η²)) of the partial η².
func (e Effect) CohensF() float64 { return math.Sqrt(e.PartialEta2 / (1 - e.PartialEta2)) }

// Table is an analysis of variance.
type Table struct {
	Type      Type
	Effects   []Effect // in the order of the terms
	Intercept *Effect  // of type III; in no total
	Residual  Effect   // Term "Residuals"; DF and SS only
	Total     float64  // corrected sum of squares
	N         int
	R2        float64
	Residuals []float64
}

// term is a factor or an interaction, as columns of the design.
type term struct {
	name    string
	factors []int
	columns [][]float64
}

func (t term) contains(o term) bool {
	return len(t.factors) > len(o.factors) && !slices.ContainsFunc(o.factors, func(f int) bool { return !slices.Contains(t.factors, f) })
}

// Fit analyses y by terms: names of factors, or interactions with the names joined
// by ":". Type I takes them in their order. Cells of an interaction without
// observations are an error, as its type III has no meaning there.
//
// Fox, Applied Regression Analysis, 3rd ed. 2016, chapter 8.
func Fit(y []float64, factors []Factor, terms []string, which Type) (*Table, error) {
	if which < TypeI || which > TypeIII {
		return nil, fmt.Errorf("type %d of sums of squares: want 1, 2 or 3", which)
	}
	n := len(y)
	for i, v := range y {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("observation %d: %v is not finite", i+1, v)
		}
	}
	contrasts, err := contrastsOf(factors, n)
	if err != nil {
		return nil, err
	}
	var model []term
	for _, name := range terms {
		t := term{name: name}
		for _, f := range strings.Split(name, ":") {
			k := slices.IndexFunc(factors, func(have Factor) bool { return have.Name == f })
			if k < 0 {
				return nil, fmt.Errorf("term %q: there is no factor %q", name, f)
			}
			if slices.Contains(t.factors, k) {
				return nil, fmt.Errorf("term %q names factor %q twice", name, f)
			}
			t.factors = append(t.factors, k)
		}
		t.columns = [][]float64{ones(n)}
		for _, k := range t.factors {
			t.columns = products(t.columns, contrasts[k])
		}
		model = append(model, t)
	}
	if len(model) == 0 {
		return nil, errors.New("no terms")
	}
	intercept := term{name: "(Intercept)", columns: [][]float64{ones(n)}}

	table := &Table{Type: which, N: n}
	full, err := project(y, append([]term{intercept}, model...)...)
	if err != nil {
		return nil, err
	}
	table.Residuals = full.rest
	var mean float64
	for _, v := range y {
		mean += v / float64(n)
	}
	for _, v := range y {
		table.Total += (v - mean) * (v - mean)
	}
	var sse float64
	for _, r := range full.rest {
		sse += r * r
	}
	dfe := n - full.rank
	table.Residual = Effect{Term: "Residuals", DF: dfe, SS: sse, F: math.NaN(), P: math.NaN()}
	table.R2 = 1 - sse/table.Total

	effect := func(t term, others []term) (Effect, error) {
		p, err := project(y, append(slices.Clone(others), t)...)
		if err != nil {
			return Effect{}, err
		}
		df, ss := len(t.columns), p.last
		e := Effect{Term: t.name, DF: df, SS: ss, F: math.NaN(), P: math.NaN()}
		d := float64(df)
		e.Eta2, e.PartialEta2 = ss/table.Total, ss/(ss+sse)
		mse := math.NaN()
		if dfe > 0 {
			mse = sse / float64(dfe)
		}
		e.Omega2 = (ss - d*mse) / (table.Total + mse)
		e.PartialOmega2 = (ss - d*mse) / (ss + (float64(n)-d)*mse)
		if mse > 0 {
			e.F = ss / d / mse
			e.P = fTail(e.F, d, float64(dfe))
		}
		return e, nil
	}
	for i, t := range model {
		others := []term{intercept}
		for j, o := range model {
			switch {
			case j == i, which == TypeI && j > i, which == TypeII && o.contains(t):
			default:
				others = append(others, o)
			}
		}
		e, err := effect(t, others)
		if err != nil {
			return nil, err
		}
		table.Effects = append(table.Effects, e)
	}
	if which == TypeIII {
		e, err := effect(intercept, model)
		if err != nil {
			return nil, err
		}
		table.Intercept = &e
	}
	return table, nil
}

// contrastsOf returns for each factor its columns, one fewer than levels, that sum
// to zero over levels. Levels are in order of the alphabet.
func contrastsOf(factors []Factor, n int) ([][][]float64, error) {
	all := make([][][]float64, len(factors))
	for k, f := range factors {
		if len(f.Levels) != n {
			return nil, fmt.Errorf("factor %q has %d observations of %d", f.Name, len(f.Levels), n)
		}
		if strings.Contains(f.Name, ":") {
			return nil, fmt.Errorf("factor %q: a name with a colon reads as an interaction", f.Name)
		}
		levels := slices.Compact(slices.Sorted(slices.Values(f.Levels)))
		if len(levels) < 2 {
			return nil, fmt.Errorf("factor %q has one level", f.Name)
		}
		last := levels[len(levels)-1]
		for _, level := range levels[:len(levels)-1] {
			column := make([]float64, n)
			for i, v := range f.Levels {
				switch v {
				case level:
					column[i] = 1
				case last:
					column[i] = -1
				}
			}
			all[k] = append(all[k], column)
		}
	}
	return all, nil
}

func ones(n int) []float64 {
	c := make([]float64, n)
	for i := range c {
		c[i] = 1
	}
	return c
}

func products(a, b [][]float64) [][]float64 {
	var all [][]float64
	for _, u := range a {
		for _, v := range b {
			c := make([]float64, len(u))
			for i := range c {
				c[i] = u[i] * v[i]
			}
			all = append(all, c)
		}
	}
	return all
}

type projection struct {
	rest []float64 // y less its projection
	last float64   // sum of squares of the last term, after the others
	rank int
}

// project makes the columns orthonormal in turn (modified Gram-Schmidt, twice) and
// takes the part of y along each away, so that a term's sum of squares is a sum of
// squares and no difference of large numbers.
func project(y []float64, terms ...term) (projection, error) {
	p := projection{rest: slices.Clone(y)}
	var basis [][]float64
	for _, t := range terms {
		p.last = 0
		for _, column := range t.columns {
			q := slices.Clone(column)
			length := norm(q)
			for range 2 {
				for _, b := range basis {
					subtract(q, b)
				}
			}
			size := norm(q)
			if !(size > 1e-10*length) {
				return p, fmt.Errorf("term %q is not estimable: a cell has no observations, or factors are nested", t.name)
			}
			for i := range q {
				q[i] /= size
			}
			basis = append(basis, q)
			along := subtract(p.rest, q)
			p.last += along * along
		}
	}
	p.rank = len(basis)
	return p, nil
}

// subtract takes the part along the unit vector b away from q.
func subtract(q, b []float64) (along float64) {
	for i := range q {
		along += q[i] * b[i]
	}
	for i := range q {
		q[i] -= along * b[i]
	}
	return along
}

func norm(v []float64) float64 {
	var s float64
	for _, x := range v {
		s += x * x
	}
	return math.Sqrt(s)
}

// fTail returns P(F > f), accurate in the tail.
func fTail(f, df1, df2 float64) float64 {
	return mathext.RegIncBeta(df2/2, df1/2, df2/(df2+df1*f))
}
