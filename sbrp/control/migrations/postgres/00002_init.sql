-- What migrations/sqlite has, up to its version 2. Times are milliseconds since 1970;
-- 0 is "never" or "not yet". COLLATE "C" compares bytes, as SQLite does.

-- +goose Up
CREATE TABLE api_keys (
	id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	name    TEXT   NOT NULL,
	account TEXT   NOT NULL,
	hash    BYTEA  NOT NULL, -- SHA-256 of the whole secret
	scopes  TEXT   NOT NULL, -- words joined by spaces
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	revoked BIGINT NOT NULL DEFAULT 0
);

-- A device has the account and scopes of its API key; a guest has no key.
CREATE TABLE devices (
	public_key BYTEA  NOT NULL PRIMARY KEY,
	id         TEXT COLLATE "C" NOT NULL UNIQUE,
	name       TEXT   NOT NULL,
	key_id     TEXT COLLATE "C" REFERENCES api_keys (id),
	created    BIGINT NOT NULL
);

-- One identity key may be a daemon in several accounts: otherwise whoever
-- registers somebody else's public key first would lock that machine out.
CREATE TABLE daemons (
	id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	account    TEXT COLLATE "C" NOT NULL,
	name       TEXT COLLATE "C" NOT NULL,
	public_key BYTEA   NOT NULL,
	key_id     TEXT COLLATE "C" NOT NULL REFERENCES api_keys (id),
	proven     BOOLEAN NOT NULL, -- a request was signed by the identity key
	created    BIGINT  NOT NULL,
	UNIQUE (account, public_key)
);
CREATE UNIQUE INDEX daemons_by_name ON daemons (account, lower(name));
CREATE INDEX daemons_by_key ON daemons (public_key);

-- Who may reach a daemon besides its account: devices that were paired with it.
CREATE TABLE grants (
	public_key BYTEA  NOT NULL REFERENCES devices (public_key) ON DELETE CASCADE,
	daemon_id  TEXT COLLATE "C" NOT NULL REFERENCES daemons (id) ON DELETE CASCADE,
	created    BIGINT NOT NULL,
	PRIMARY KEY (public_key, daemon_id)
);
CREATE INDEX grants_by_daemon ON grants (daemon_id);

CREATE TABLE pairings (
	hash      BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of the lookup
	daemon_id TEXT COLLATE "C" NOT NULL REFERENCES daemons (id) ON DELETE CASCADE,
	expires   BIGINT NOT NULL
);
CREATE INDEX pairings_by_daemon ON pairings (daemon_id);

CREATE TABLE signing_keys (
	kid     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
	seed    BYTEA  NOT NULL, -- Ed25519
	state   TEXT   NOT NULL CHECK (state IN ('next', 'current', 'retired')),
	created BIGINT NOT NULL,
	began   BIGINT NOT NULL DEFAULT 0, -- when it became current
	retired BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX signing_keys_one_each ON signing_keys (state) WHERE state <> 'retired';

-- Device tokens that were used, until they would be refused for their age anyway.
CREATE TABLE used_tokens (
	hash    BYTEA  NOT NULL PRIMARY KEY, -- SHA-256 of device key and jti
	expires BIGINT NOT NULL
);
CREATE INDEX used_tokens_by_expiry ON used_tokens (expires);
