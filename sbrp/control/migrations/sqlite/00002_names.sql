-- Daemons' names are compared as lower(name), which every database understands.

-- +goose Up
CREATE INDEX daemons_by_name ON daemons (account, lower(name));
