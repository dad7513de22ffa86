#!/bin/sh
# Lets paired clients reach the ssh server of this machine.
set -eu
exec culvert expose --name "${DAEMON:-box}" ssh="${SSHD:-22}" "$@"
