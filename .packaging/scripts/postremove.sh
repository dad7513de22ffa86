#!/bin/sh
# The keys stay, unless the package is purged (deb).
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ]; then
	rm -rf /var/lib/culvert /var/lib/culvert-relay
fi
