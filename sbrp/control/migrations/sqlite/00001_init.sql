-- Times are milliseconds since 1970; 0 is "never" or "not yet".

-- +goose Up
CREATE TABLE api_keys (
	id      TEXT    NOT NULL PRIMARY KEY,
	name    TEXT    NOT NULL,
	account TEXT    NOT NULL,
	hash    BLOB    NOT NULL, -- SHA-256 of the whole secret
	scopes  TEXT    NOT NULL, -- words joined by spaces
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	revoked INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A device has the account and scopes of its API key; a guest has no key.
CREATE TABLE devices (
	public_key BLOB    NOT NULL PRIMARY KEY,
	id         TEXT    NOT NULL UNIQUE,
	name       TEXT    NOT NULL,
	key_id     TEXT    REFERENCES api_keys (id),
	created    INTEGER NOT NULL
) STRICT;

-- One identity key may be a daemon in several accounts: otherwise whoever
-- registers somebody else's public key first would lock that machine out.
CREATE TABLE daemons (
	id         TEXT    NOT NULL PRIMARY KEY,
	account    TEXT    NOT NULL,
	name       TEXT    NOT NULL COLLATE NOCASE,
	public_key BLOB    NOT NULL,
	key_id     TEXT    NOT NULL REFERENCES api_keys (id),
	proven     INTEGER NOT NULL, -- 1: a request was signed by the identity key
	created    INTEGER NOT NULL,
	UNIQUE (account, public_key),
	UNIQUE (account, name)
) STRICT;
CREATE INDEX daemons_by_key ON daemons (public_key);

-- Who may reach a daemon besides its account: devices that were paired with it.
CREATE TABLE grants (
	public_key BLOB    NOT NULL REFERENCES devices (public_key) ON DELETE CASCADE,
	daemon_id  TEXT    NOT NULL REFERENCES daemons (id) ON DELETE CASCADE,
	created    INTEGER NOT NULL,
	PRIMARY KEY (public_key, daemon_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_daemon ON grants (daemon_id);

CREATE TABLE pairings (
	hash      BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of the lookup
	daemon_id TEXT    NOT NULL REFERENCES daemons (id) ON DELETE CASCADE,
	expires   INTEGER NOT NULL
) STRICT;
CREATE INDEX pairings_by_daemon ON pairings (daemon_id);

CREATE TABLE signing_keys (
	kid     TEXT    NOT NULL PRIMARY KEY,
	seed    BLOB    NOT NULL, -- Ed25519
	state   TEXT    NOT NULL CHECK (state IN ('next', 'current', 'retired')),
	created INTEGER NOT NULL,
	began   INTEGER NOT NULL DEFAULT 0, -- when it became current
	retired INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX signing_keys_one_each ON signing_keys (state) WHERE state <> 'retired';

-- Device tokens that were used, until they would be refused for their age anyway.
CREATE TABLE used_tokens (
	hash    BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of device key and jti
	expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_tokens_by_expiry ON used_tokens (expires);
