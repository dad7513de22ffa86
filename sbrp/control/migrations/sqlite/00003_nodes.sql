-- Relay processes that share this store, and which daemon is connected to which.

-- +goose Up
CREATE TABLE nodes (
	id       TEXT    NOT NULL PRIMARY KEY, -- of one process, from its start to its end
	url      TEXT    NOT NULL UNIQUE,      -- of its relay
	lease    INTEGER NOT NULL,             -- lives until then, by the store's clock
	draining INTEGER NOT NULL DEFAULT 0    -- 1: takes no daemon any more
) STRICT;

CREATE TABLE presences (
	daemon_id TEXT NOT NULL PRIMARY KEY REFERENCES daemons (id) ON DELETE CASCADE,
	node_id   TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX presences_by_node ON presences (node_id);
