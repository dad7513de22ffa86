#!/bin/sh
# Makes ssh, scp, sftp, rsync and git on this machine know the way to a daemon by its name.
# The first time it needs a code from there in CODE and the relay's URL in RELAY. May be
# run again: what is there stays.
set -eu
name=${DAEMON:-box}
config=${SSH_CONFIG:-$HOME/.ssh/config}
if [ -n "${CODE:-}" ]; then
	printf '%s\n' "$CODE" | culvert pair - --relay "${RELAY:?say where the relay is, such as https://relay.example.org}" >/dev/null
fi
mkdir -p -m 700 "$(dirname "$config")"
if ! grep -qxF "Host $name" "$config" 2>/dev/null; then
	culvert ssh-config "${LOGIN:-$(id -un)}@$name" >>"$config"
fi
