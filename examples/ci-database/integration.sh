#!/bin/sh
# The integration tests: here with psql, in your project with whatever takes a host and a
# port. culvert run sets CULVERT_HOST_DB and CULVERT_PORT_DB; PGUSER, PGDATABASE and
# PGPASSWORD are the job's.
set -eu
export PGHOST="$CULVERT_HOST_DB" PGPORT="$CULVERT_PORT_DB"
psql -X -q -v ON_ERROR_STOP=1 -f integration.sql
