#!/bin/sh
# Lets the people who have the printed code see the dev server of this machine.
set -eu
exec culvert expose --name "${DAEMON:-laptop}" --pair web="${DEV_SERVER:-3000}" "$@"
