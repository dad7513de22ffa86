package main

import "slices"

// better says how a figure compares.
type better string

const (
	higherIsBetter better = "higher"
	lowerIsBetter  better = "lower"
	notCompared    better = "" // no ratio to null either
)

// sample is where one system's results of one round go.
type sample struct {
	r      *report
	figure string
	system string
	round  int
}

// add notes a value.
func (s *sample) add(what, unit string, value float64, b better) {
	row := s.r.row(s.figure, what, unit, b)
	for _, c := range row.Cells {
		if c.System == s.system {
			c.values[s.round] = value
			return
		}
	}
	row.Cells = append(row.Cells, &cell{System: s.system, values: map[int]float64{s.round: value}})
}

// median of values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	return (values[(n-1)/2] + values[n/2]) / 2
}

// settle computes what is printed. null is nil if null was not measured; ratios are taken round by round.
func (c *cell) settle(null *cell) {
	var ratios []float64
	for round, v := range c.values {
		c.Rounds = append(c.Rounds, v)
		if null != nil && null.values[round] != 0 {
			ratios = append(ratios, v/null.values[round])
		}
	}
	c.Median = median(c.Rounds) // sorts
	c.Min, c.Max = c.Rounds[0], c.Rounds[len(c.Rounds)-1]
	if len(ratios) > 0 {
		c.Ratio = new(median(ratios))
	}
}
