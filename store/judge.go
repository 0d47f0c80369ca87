package store

import (
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// verdict is what an error says about running a statement once more.
type verdict int

const (
	final      verdict = iota // it would fail again, or may have been run to its end
	dead                      // this connection is lost; another may live
	unprepared                // prepared statements do not survive on this way to the database
	outdated                  // the session knows roles, rights, settings or types as they were
	refused                   // a new connection is not to be had; an open one may be
)

// judge knows errors by what they are, not by when they came.
func judge(err error) verdict {
	if known, ok := errors.AsType[judged](err); ok {
		return known.verdict
	}
	switch {
	case isConnect(err):
		return refused
	case isFatal(err):
		return dead // whatever its code: the server, or a pooler, ended the session
	case errors.Is(err, ErrReadOnly):
		return outdated
	}
	switch sqlState(err) {
	case "":
		return judgeNetwork(err)
	case unknownStatement, duplicateStatement:
		return unprepared
	case insufficientRights, undefinedObject, readOnly, featureNotSupported, internalError:
		return outdated
	}
	return final
}

func judgeNetwork(err error) verdict {
	_, network := errors.AsType[*net.OpError](err)
	if network || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return dead
	}
	return final
}

// isConnect reports whether it is a new connection that failed.
func isConnect(err error) bool {
	_, ok := errors.AsType[*pgconn.ConnectError](err)
	return ok
}

// isFatal reports whether the server ended the session.
func isFatal(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	severity := pg.SeverityUnlocalized
	if severity == "" { // as poolers leave it out
		severity = pg.Severity
	}
	return severity == "FATAL" || severity == "PANIC"
}

// judged is an error that does not say by itself what is to be done.
type judged struct {
	error
	verdict verdict
}

func (j judged) Unwrap() error { return j.error }
