package store

import (
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectFault is why no connection to the database could be made.
type ConnectFault string

// Faults of connecting. What the server says in a SQLSTATE comes before what else went wrong on the way.
const (
	NoFault          ConnectFault = ""               // the error is of something else
	WrongPassword    ConnectFault = "wrong password" // or no such user
	MayNotLogIn      ConnectFault = "role without login"
	NoRole           ConnectFault = "no such role"
	NotLetIn         ConnectFault = "address not let in" // by pg_hba.conf
	NeedsTLS         ConnectFault = "only with TLS"
	NoDatabase       ConnectFault = "no such database"
	MayNotConnect    ConnectFault = "database not granted"
	NoTenant         ConnectFault = "no such tenant" // of Supavisor, which finds the project by the user's name
	TooMany          ConnectFault = "too many connections"
	NotReady         ConnectFault = "server not ready"
	BehindPooler     ConnectFault = "pooler cut off" // the pooler itself can't connect
	RefusedTLS       ConnectFault = "server without TLS"
	UnknownAuthority ConnectFault = "unknown authority" // of the server's certificate
	WrongName        ConnectFault = "other host's certificate"
	BadCertificate   ConnectFault = "bad certificate" // expired, say
	BrokenTLS        ConnectFault = "broken TLS"
	UnknownHost      ConnectFault = "unknown host"
	NoIPv6           ConnectFault = "no way to IPv6" // the host has no other address
	Refused          ConnectFault = "refused"        // for a reason that only the server's words tell
	Unreachable      ConnectFault = "unreachable"
)

// Further SQLSTATE codes, of connecting.
const (
	invalidAuthorization = "28000"
	tooManyConnections   = "53300"
	cannotConnectNow     = "57P03"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
)

// ConnectFaultOf judges each attempt for itself: with sslmode=prefer, which is the default, and with
// several addresses, an error of connecting has several, of which one says what is wrong.
func ConnectFaultOf(err error) ConnectFault {
	attempts := attemptsOf(err)
	var judged []ConnectFault
	for _, attempt := range attempts {
		judged = append(judged, faultOfAttempt(attempt))
	}
	for _, weighty := range []func(ConnectFault, error) bool{
		func(f ConnectFault, attempt error) bool { return sqlState(attempt) != "" && f != NeedsTLS },
		func(f ConnectFault, _ error) bool { return f != NeedsTLS && f != RefusedTLS },
		func(f ConnectFault, _ error) bool { return f == NeedsTLS },
	} {
		for i, fault := range judged {
			if weighty(fault, attempts[i]) {
				return settle(fault, judged)
			}
		}
	}
	if len(judged) > 0 {
		return RefusedTLS
	}
	return NoFault
}

// ConnectUser is who could not connect, or "" if err is of something else.
func ConnectUser(err error) string {
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok && connect.Config != nil {
		return connect.Config.User
	}
	return ""
}

// settle looks at the other attempts, too.
func settle(fault ConnectFault, judged []ConnectFault) ConnectFault {
	for _, other := range judged {
		switch {
		case fault == NeedsTLS && other == RefusedTLS: // it wants TLS and has none: it wants nobody from here
			return NotLetIn
		case fault == NoIPv6 && other != NoIPv6:
			return Unreachable
		}
	}
	return fault
}

// attemptsOf are the errors of one call to connect; none if err is of something else.
func attemptsOf(err error) []error {
	connect, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return nil
	}
	if joined, ok := connect.Unwrap().(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{connect.Unwrap()}
}

func faultOfAttempt(err error) ConnectFault {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return faultOfServer(pg)
	}
	if fault := faultOfTLS(err); fault != NoFault {
		return fault
	}
	text := err.Error()
	_, unresolved := errors.AsType[*net.DNSError](err)
	switch {
	case unresolved:
		return UnknownHost
	case strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "[::1]") &&
		strings.Contains(text, ": dial error: ") && !errors.Is(err, syscall.ECONNREFUSED):
		return NoIPv6
	}
	return Unreachable
}

func faultOfTLS(err error) ConnectFault {
	text := err.Error()
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	switch {
	case strings.Contains(text, "server refused TLS connection"):
		return RefusedTLS
	case invalid:
		return BadCertificate
	case authority:
		return UnknownAuthority
	case name:
		return WrongName
	case strings.Contains(text, "tls: ") || strings.Contains(text, "x509: "):
		return BrokenTLS
	}
	return NoFault
}

// faultOfServer judges what a server or a pooler answered. Poolers have few codes of their own, and say it in words.
func faultOfServer(err *pgconn.PgError) ConnectFault {
	if fault := faultInWords(err.Message); fault == NoTenant {
		return fault
	}
	switch err.Code {
	case invalidPassword:
		return WrongPassword
	case invalidCatalogName:
		return NoDatabase
	case insufficientRights:
		return MayNotConnect
	case tooManyConnections:
		return TooMany
	case cannotConnectNow, adminShutdown, crashShutdown:
		return NotReady
	case invalidAuthorization:
		return faultOfAuthorization(err.Message)
	}
	return faultInWords(err.Message)
}

// faultOfAuthorization tells apart what Postgres gives one code.
func faultOfAuthorization(message string) ConnectFault {
	switch {
	case strings.Contains(message, "pg_hba.conf") && strings.HasSuffix(message, "no encryption"):
		return NeedsTLS
	case strings.Contains(message, "pg_hba.conf"):
		return NotLetIn
	case strings.Contains(message, "not permitted to log in"):
		return MayNotLogIn
	case strings.Contains(message, "does not exist"):
		return NoRole
	}
	return WrongPassword
}

// words are those of Supavisor and PgBouncer, in lower case.
var words = []struct {
	text  string
	fault ConnectFault
}{
	{"tenant or user not found", NoTenant},
	{"no tenant identifier", NoTenant},
	{"tenant/user", NoTenant},
	{"max clients", TooMany},
	{"max client", TooMany},
	{"maxclients", TooMany},
	{"max_client", TooMany},
	{"no more connections", TooMany},
	{"too many", TooMany},
	{"no such user", WrongPassword},
	{"no such database", NoDatabase},
	{"ssl required", NeedsTLS},
	{"ssl connection is required", NeedsTLS},
	{"server login", BehindPooler},
	{"server_login", BehindPooler},
	{"connect failed", BehindPooler},
	{"password authentication failed", WrongPassword},
	{"authentication failed", WrongPassword},
	{"auth failed", WrongPassword},
}

func faultInWords(message string) ConnectFault {
	message = strings.ToLower(message)
	for _, word := range words {
		if strings.Contains(message, word.text) {
			return word.fault
		}
	}
	return Refused
}
