#!/bin/sh
# deb: "remove" or "upgrade …". rpm: 0 when it is removed, 1 before an upgrade.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl --no-reload disable --now culvert.service culvert-relay.service || true
	fi
	;;
esac
