#!/bin/sh
# Lets paired clients reach the database of this network.
set -eu
exec culvert expose --name "${DAEMON:-lab}" db="${DATABASE:-5432}" "$@"
