// Package control is the control plane: an http.Handler over a store that knows
// who may enrol, which daemons there are, and who may reach them, and that issues
// relay tokens (spec sections 7 and 8). What its endpoints take and give is in
// package api.
//
// # Accounts and authority
//
// Every API key belongs to an account ("default" unless said). A device gets the
// account and scopes of the key that enrolled it, a daemon those of the key or
// device that registered it. A device sees the daemons of its account; it needs
// scope client for a session with them, and scope daemon to register one. Scope
// admin may do all that, and manages the API keys of every account. A device that
// came by a pairing code alone is a guest: it may reach that daemon and nothing else.
//
// An API key that has expired enrols nothing more; what it enrolled stays. An API
// key that was revoked enrols nothing more, and the devices and daemons that it
// enrolled are refused from that moment: no list, no session, no presence token.
// Tokens that are out already end by themselves (a client's after SessionTTL, a
// daemon's presence after PresenceTTL); a new key, used at the same machine,
// revives it under its old identity.
//
// # Proof
//
// A device signs each request with its device key; the server takes each signed
// token once, within a minute of its own clock either way. A token is good only for
// this server: its audience must be the public URL, or the very address and port
// on which the connection was accepted (a Host header proves nothing: whoever
// lured the token out of a device could send it along).
//
// The published library's daemons register with an API key alone and prove
// nothing. That works, yet not for a daemon that has once been registered with
// proof, so that an API key cannot be used to push another machine's daemon aside.
//
// # Audit
//
// Config.Audit gets a line for each act that somebody has made the control plane do
// (the Act constants): who, to whom, from where. It holds identifiers, which is its
// purpose, and never a token, a key or a code.
//
// # Store
//
// [Store] is SQLite in WAL mode with synchronous=FULL; two processes may have it
// open at once, such as the CLI beside a running relay. It holds the token-signing
// keys, so the file is 0600, and one that others may read is refused.
//
// Or it is a PostgreSQL database, for several nodes. The queries are the same ones, and
// so is the order of transactions that write: one at a time, by an advisory lock. The
// schema is brought up to date at the start, under another. Whoever can read the
// database can sign tokens: give it a role and a database of its own. While it is away,
// requests that need it get a 503 with Retry-After; tokens are verified all the same.
//
// # Nodes
//
// With PostgreSQL each process is a [Node] with a relay of its own and a URL under which it
// alone is reached; the API's URL may lead to any of them. A node has a lease, renewed by
// its beats, and tells the store which daemons are connected to it. A daemon is sent to
// the node that rendezvous hashing gives it among those that live and do not drain, and
// not to one that it says it cannot reach. Clients are sent to where the daemon is. No
// frame crosses nodes: a daemon that changes its node ends its sessions, and the links in
// them are resumed in new ones. A daemon at another node than its own is sent home when no
// node has come or gone for a while, few at a time and each once an hour at most.
package control
