// Package progress shows how far a long run is: by a bar on a terminal, by a line now and then elsewhere.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// Pause is between two lines where there is no terminal.
const Pause = 10 * time.Second

// Progress is that of one run. It is safe for concurrent use.
type Progress struct {
	w    io.Writer
	what string // is counted, like "accounts"
	all  int    // of them, about: they change while it runs
	bar  *progressbar.ProgressBar

	mu    sync.Mutex
	done  int
	began time.Time
	said  time.Time
}

// Start begins a run over about so many.
func Start(w io.Writer, what string, all int) *Progress {
	p := &Progress{w: w, what: what, all: all, began: time.Now(), said: time.Now()}
	if file, ok := w.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		p.bar = newBar(w, what, all)
	}
	return p
}

func newBar(w io.Writer, what string, all int) *progressbar.ProgressBar {
	return progressbar.NewOptions(all,
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}

// Step counts one that is done.
func (p *Progress) Step() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	if p.bar != nil {
		if p.done < p.all { // the last is End's to draw
			_ = p.bar.Add(1) // it only fails beyond the last
		}
		return
	}
	if now := time.Now(); now.Sub(p.said) >= Pause {
		p.said = now
		fmt.Fprintln(p.w, p.line(now))
	}
}

// line says how far it is, and how long it still takes at this pace.
func (p *Progress) line(now time.Time) string {
	took := now.Sub(p.began)
	text := fmt.Sprintf("%d of about %d %s in %s", p.done, p.all, p.what, took.Round(time.Second))
	if left := p.all - p.done; left > 0 && p.done > 0 {
		text += fmt.Sprintf(", another %s at this pace", (took * time.Duration(left) / time.Duration(p.done)).Round(time.Second))
	}
	return text
}

// Say prints a line in between.
func (p *Progress) Say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear() // the next step draws it again
	}
	fmt.Fprintf(p.w, format+"\n", args...)
}

// End takes the bar away and returns what there is to say at the end.
func (p *Progress) End() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear() // nothing follows that it could spoil
	}
	return fmt.Sprintf("%d of about %d %s in %s", p.done, p.all, p.what, time.Since(p.began).Round(time.Second))
}
