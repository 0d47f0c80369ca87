package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/mattn/go-isatty"
)

// confirm asks a person. Where there is none, nothing is done without --yes.
func confirm(in *os.File, out io.Writer, question string) error {
	if !isatty.IsTerminal(in.Fd()) {
		return errors.New("nobody is there to ask: confirm with --yes")
	}
	return ask(in, out, question)
}

// ask asks whoever answers at in.
func ask(in io.Reader, out io.Writer, question string) error {
	fmt.Fprint(out, question+" [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("not confirmed")
	}
	return nil
}

// actor returns who runs the command, for the audit trail.
func actor() string {
	name := "unknown"
	if me, err := user.Current(); err == nil {
		name = me.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
