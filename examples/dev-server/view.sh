#!/bin/sh
# Brings the dev server of another machine to a port of this one. The first time it needs
# the code from there in CODE and the relay's URL in RELAY.
set -eu
if [ -n "${CODE:-}" ]; then
	printf '%s\n' "$CODE" | culvert pair - --relay "${RELAY:?say where the relay is, such as https://relay.example.org}" >/dev/null
fi
exec culvert forward "${DAEMON:-laptop}" "${LOCAL:-8080}:web" "$@"
