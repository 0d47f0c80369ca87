package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"
	"time"
)

//go:embed plot.svg.tmpl
var plotText string

var plotTemplate = template.Must(template.New("plot").Parse(plotText))

// The plot's measures, in pixels.
const (
	panelWidth  = 300 // of the longest bar
	panelStep   = 480
	barStep     = 28
	groupHeight = 40
	plotTop     = 76
)

// plot is two panels, how many tokens a second and how long the slowest hundredth takes at least, with a group of
// bars for each number of connections.
type plot struct {
	Width, Height int
	Panels        []panel
	Caption       string
}

type panel struct {
	X      int
	Title  string
	Groups []group
}

type group struct {
	Y     int
	Title string
	Bars  []bar
}

type bar struct {
	Y, Width     int
	Server, Text string
}

func (r *results) plot() (string, error) {
	rows := r.rows()
	p := plot{Caption: r.caption(), Width: 2 * panelStep, Panels: []panel{
		newPanel(0, "Tokens minted in a second: more is better", rows,
			func(row row) float64 { return row.Mints }, thousands),
		newPanel(panelStep, "99 of 100 are answered within: less is better", rows,
			func(row row) float64 { return row.P99.Seconds() },
			func(seconds float64) string { return millis(time.Duration(seconds * float64(time.Second))) }),
	}}
	p.Height = plotTop + len(connections)*groupHeight + len(rows)*barStep + 24
	var text strings.Builder
	err := plotTemplate.Execute(&text, p)
	return text.String(), err
}

func newPanel(x int, title string, rows []row, value func(row) float64, text func(float64) string) panel {
	p, y := panel{X: x, Title: title}, plotTop
	for _, conns := range connections {
		g, longest := group{Y: y, Title: fmt.Sprintf("%d at a time", conns)}, 0.0
		for _, row := range rows {
			if row.Conns == conns {
				longest = max(longest, value(row))
			}
		}
		y += groupHeight / 2
		for _, row := range rows {
			if row.Conns == conns {
				g.Bars = append(g.Bars, bar{y, int(value(row) / longest * panelWidth), row.Server, text(value(row))})
				y += barStep
			}
		}
		y += groupHeight / 2
		p.Groups = append(p.Groups, g)
	}
	return p
}
