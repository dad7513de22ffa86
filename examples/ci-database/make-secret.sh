#!/bin/sh
# Prints the secret with which jobs reach the database: a device key of their own that is
# paired with the daemon. Needs a code from there in CODE and the relay's URL in RELAY.
set -eu
umask 077
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
printf '%s\n' "${CODE:?say the code of \`culvert pair\`}" | culvert pair - --state-dir "$state" --relay "${RELAY:?say where the relay is, such as https://relay.example.org}" >/dev/null
tar -C "$state" -cz identity.key known_daemons | base64
