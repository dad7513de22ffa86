#!/bin/sh
# deb: "configure OLD" with an empty OLD the first time. rpm: 1 the first time, 2 later.
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers culvert.conf
fi
if id culvert >/dev/null 2>&1; then
	for dir in /var/lib/culvert /var/lib/culvert-relay; do
		[ -d "$dir" ] || install -d -o culvert -g culvert -m 700 "$dir"
	done
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	upgrade=
	case "$1" in
	configure) [ -z "$2" ] || upgrade=1 ;;
	2) upgrade=1 ;;
	esac
	# Those of `culvert service install --instance`, too. Connections are held meanwhile.
	if [ -n "$upgrade" ]; then
		systemctl try-restart --no-block 'culvert.service' 'culvert-*.service'
	fi
fi
