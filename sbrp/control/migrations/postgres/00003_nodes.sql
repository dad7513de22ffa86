-- Relay processes that share this store, and which daemon is connected to which.

-- +goose Up
CREATE TABLE nodes (
	id       TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- of one process, from its start to its end
	url      TEXT COLLATE "C" NOT NULL UNIQUE,      -- of its relay
	lease    BIGINT  NOT NULL,                      -- lives until then, by the store's clock
	draining BOOLEAN NOT NULL DEFAULT false         -- takes no daemon any more
);

CREATE TABLE presences (
	daemon_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES daemons (id) ON DELETE CASCADE,
	node_id   TEXT COLLATE "C" NOT NULL REFERENCES nodes (id) ON DELETE CASCADE
);
CREATE INDEX presences_by_node ON presences (node_id);
