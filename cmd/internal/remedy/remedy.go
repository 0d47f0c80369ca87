// Package remedy says what to do about a database that can't be connected to, or not be written to. doctor, migrate and serve say the same.
package remedy

import (
	"fmt"
	"regexp"
	"strings"

	"coderhook/store"
)

const (
	setParameter = " among the parameters of DATABASE_URL"
	pooledUser   = "through Supabase's pooler the user is coderhook.<project-ref> (for migrate postgres.<project-ref>)"
	setPassword  = "alter role {role} login password '…'"
	// resetPassword is for migrate: postgres can't log in to give itself a password.
	resetPassword = "correct user and password of DATABASE_URL, special characters percent-encoded; who has forgotten this one can reset it in the dashboard's database settings, or elsewhere as another superuser; " + pooledUser
)

var connecting = map[store.ConnectFault]string{
	store.WrongPassword: "correct user and password of DATABASE_URL, special characters percent-encoded, or set a password as the role postgres: " + setPassword + " valid until 'infinity'; " + pooledUser,
	store.MayNotLogIn:   "let the role log in, as the role postgres: " + setPassword,
	store.NoRole:        "correct the user of DATABASE_URL; the role coderhook is made by `coderhook migrate`",
	store.NotLetIn:      "let user, database and address of this machine in: in the server's pg_hba.conf, in Supabase among the database's network restrictions",
	store.NeedsTLS:      "the server lets nobody in from here without encryption: set sslmode=require" + setParameter + "; or let user, database and address of this machine in without it, in the server's pg_hba.conf",
	store.NoDatabase:    "correct the database's name, the path of DATABASE_URL; in a Supabase project it is postgres",
	store.MayNotConnect: "let the role connect, as the database's owner: grant connect on database … to {role}",
	store.NoTenant:      "correct the user of DATABASE_URL: " + pooledUser + ", as the dashboard shows it under Connect; and see that the pooler's address is that of the project",
	store.TooMany: "keep pool_max_conns × replicas below the size of the pool (or the server's max_connections): set pool_max_conns=" + setParameter +
		" (10 without it), or raise that size, or a limit of the role's own (alter role {role} connection limit -1); Supabase's pooler takes more clients in transaction mode, at port 6543",
	store.NotReady:     "wait until the server has started, and see its log",
	store.BehindPooler: "see that the pooler can reach the server, and that user and password, there and in DATABASE_URL, are right",
	store.RefusedTLS:   "turn TLS on at the server, or, in a network of your own only, set sslmode=disable" + setParameter,
	store.UnknownAuthority: "name the file of the authority that signed the server's certificate by sslrootcert=" + setParameter +
		" (Supabase's is in the dashboard's database settings, under SSL); without sslrootcert the mode require encrypts, and does not ask who answers",
	store.WrongName:      "name the server in DATABASE_URL as its certificate does; sslmode=verify-ca asks for the authority only",
	store.BadCertificate: "renew the server's certificate, and see that both clocks are right",
	store.BrokenTLS:      "see what speaks TLS at this address, which versions it takes, and whether it wants a certificate of us (sslcert= and sslkey=" + setParameter + ")",
	store.UnknownHost:    "correct the host in DATABASE_URL; a Supabase project that is paused has none",
	store.NoIPv6: "this host has only an IPv6 address, to which there is no way from here: take the address of the project's session pooler (in the dashboard under Connect, " +
		"like aws-0-REGION.pooler.supabase.com:5432) and the user coderhook.<project-ref>, or give this machine IPv6",
	store.Refused:     "do what the server says, or correct DATABASE_URL by it",
	store.Unreachable: "see that host and port of DATABASE_URL are right, that they can be reached from here, and that the server runs, also the one behind a pooler",
}

// ReadOnly says what to do about a database that takes no writes, where there is no SQL to run.
const ReadOnly = "name the primary's address in DATABASE_URL, and where it names several hosts add target_session_attrs=read-write to its parameters; " +
	"or free space on a full disk, because of which Supabase makes a database read-only"

// Unreadable says what to do where rules look at what the server's role may not read, or what is not there.
const Unreadable = "see that the columns of PROFILES_POLICY_COLUMNS are there, and run coderhook migrate with that variable set: it lets the server read them"

// Connecting returns what to do about an error of connecting to the database, or "" if err is another.
func Connecting(err error) string {
	fault, role := store.ConnectFaultOf(err), roleOf(store.ConnectUser(err))
	if fault == store.WrongPassword && role == "postgres" {
		return resetPassword
	}
	return strings.ReplaceAll(connecting[fault], "{role}", role)
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// roleOf returns the role as SQL writes it: for Supabase's pooler the project's name follows.
func roleOf(user string) string {
	role, _, _ := strings.Cut(user, ".")
	switch {
	case role == "":
		return "coderhook"
	case plainName.MatchString(role):
		return role
	}
	return `"` + strings.ReplaceAll(role, `"`, `""`) + `"`
}

// Explain adds to an error of connecting what to do about it.
func Explain(err error) error {
	if do := Connecting(err); do != "" {
		return fmt.Errorf("%w; %s", err, do)
	}
	return err
}
