#!/usr/bin/env bash
# The package on a real systemd: a minimal Debian in a container is booted, gets the package,
# runs relay and tunnel as services, has them killed, hung, rebooted, upgraded and removed.
# Takes about three minutes. Needs the superuser, debootstrap and systemd-nspawn; where such
# a container cannot be booted, it says so and leaves everything out. Nothing outside the
# container is touched. ROOTFS names a directory with a debootstrap root, to save time.
set -euo pipefail
cd "$(dirname "$0")/.."

left_out() {
	echo "##############################################################"
	echo "# LEFT OUT: make test-service. The services were NOT tested:"
	echo "# $*"
	echo "##############################################################"
	exit 0
}
[ "$(id -u)" = 0 ] || left_out "this is not the superuser"
for program in debootstrap systemd-nspawn nsenter dpkg; do
	command -v "$program" >/dev/null || left_out "there is no $program"
done

work=$(mktemp -d /var/tmp/culvert-service-XXXXXX)
root=$work/root
nspawn=
finish() {
	code=$?
	if [ $code != 0 ] && [ -n "$nspawn" ]; then
		echo "== it failed; the journal's end:"
		inside journalctl --no-pager -n 60 2>/dev/null || tail -n 60 "$work/console"
	fi
	if [ -n "$nspawn" ] && kill -KILL "$nspawn" 2>/dev/null; then wait "$nspawn" 2>/dev/null || true; fi
	rm -rf --one-file-system "$work"
	exit $code
}
trap finish EXIT

# leader is the container's first process. It is another one after a reboot.
leader() { pgrep -P "$nspawn" | head -n 1; }
inside() { nsenter -t "$(leader)" -m -u -i -n -p -C -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"; }

step() { echo "== $(date +%T) $*"; }
# eventually SECONDS COMMAND...: until it succeeds.
eventually() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "not within its time: $*"
			return 1
		fi
		sleep 0.3
	done
}

step "a minimal Debian, and the package in two versions"
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
(
	if [ -n "${ROOTFS:-}" ]; then cp -a "$ROOTFS" "$root"; else
		debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd "$suite" "$root"
	fi
) >"$work/debootstrap" 2>&1 &
bootstrap=$!
arch=$(dpkg --print-architecture)
for version in 0.0.1 0.0.2; do
	make -s release-snapshot RELEASEFLAGS="-version $version -platforms linux/$arch -formats deb -out $work"
done
wait $bootstrap || { tail -n 5 "$work/debootstrap"; left_out "debootstrap failed"; }
cp "$work"/*.deb "$root/root/"

step "boot"
boot() {
	systemd-nspawn -q -D "$root" -b --register=no --keep-unit --private-network --hostname=box -M "culvert-$$" \
		</dev/null >>"$work/console" 2>&1 &
	nspawn=$!
}
boot
booted() { inside systemctl is-system-running | grep -qx 'running\|degraded'; }
eventually 90 booted || { tail -n 20 "$work/console"; kill -KILL $nspawn || true; wait $nspawn || true; nspawn=; left_out "a container cannot be booted here"; }

step "install the package: nothing starts by itself"
inside dpkg -i "/root/culvert_0.0.1_$arch.deb"
if inside systemctl is-active culvert culvert-relay; then exit 1; fi
inside test -s /usr/share/man/man1/culvert-service.1.gz
inside test -s /usr/share/bash-completion/completions/culvert

step "relay"
inside sh -e -c '
mkdir -p /etc/systemd/system/culvert-relay.service.d /etc/systemd/system/culvert.service.d
cat > /etc/systemd/system/culvert-relay.service.d/test.conf <<X
[Service]
RestartSec=1
LoadCredential=
ExecStart=
ExecStart=/usr/bin/culvert relay --listen 127.0.0.1:8443 --public-url http://127.0.0.1:8443
X
printf "[Service]\nRestartSec=1\nWatchdogSec=3\n" > /etc/systemd/system/culvert.service.d/test.conf
systemctl daemon-reload
systemctl enable --now culvert-relay
useradd -m op; usermod -aG culvert op; useradd -m other
'
inside systemctl is-active culvert-relay

step "security"
for unit in culvert culvert-relay; do
	inside systemd-analyze security --no-pager --threshold=20 $unit.service | tail -n 1
done

step "tunnel: log in as root, use it as a member of the group"
inside sh -e -c '
cd /
runuser -u op -- culvert relay key create --state-dir /var/lib/culvert-relay --scope daemon,client --name me > /root/me.key
culvert login http://127.0.0.1:8443 --state-dir /var/lib/culvert < /root/me.key
printf "name: box\ntargets:\n  echo: 7007\n" > /root/config.yaml
install -o culvert -m 600 /root/config.yaml /var/lib/culvert/config.yaml
cat > /root/echo.pl <<X
use IO::Socket::INET;
\$SIG{CHLD} = "IGNORE";
my \$s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:7007", Listen => 5, ReuseAddr => 1) or die;
while (my \$c = \$s->accept) { next if fork; while (sysread \$c, my \$b, 4096) { syswrite \$c, \$b } exit }
X
cat > /etc/systemd/system/echo.service <<X
[Service]
ExecStart=/usr/bin/perl /root/echo.pl
[Install]
WantedBy=multi-user.target
X
systemctl daemon-reload
systemctl enable --now echo culvert
culvert service status | grep "culvert: running, online as box"
runuser -u op -- culvert status --state-dir /var/lib/culvert | grep "daemon box *online"
runuser -u op -- culvert pair --state-dir /var/lib/culvert > /root/code
if runuser -u other -- culvert status --state-dir /var/lib/culvert; then exit 1; fi
if runuser -u other -- culvert pair --state-dir /var/lib/culvert; then exit 1; fi
runuser -u op -- culvert pair - --relay http://127.0.0.1:8443 --state-dir /home/op/c < /root/code
test "$(stat -c %U /var/lib/culvert/* | sort -u)" = culvert
'
# A client, and a daemon beside the packaged one, of the other side: they stay as they are.
inside sh -e -c '
cd /
runuser -u op -- culvert login http://127.0.0.1:8443 --state-dir /home/op/d < /root/me.key
systemd-run -q --unit=theirs --uid=op culvert expose --state-dir /home/op/d --name theirs echo=7007
'
eventually 60 inside runuser -u op -- sh -c 'culvert pair --state-dir /home/op/d > /home/op/code && culvert pair - --relay http://127.0.0.1:8443 --state-dir /home/op/c < /home/op/code'
inside systemd-run -q --unit=to-box --uid=op culvert forward box 8001:echo --state-dir /home/op/c
inside systemd-run -q --unit=to-theirs --uid=op culvert forward theirs 8002:echo --state-dir /home/op/c
through() { inside bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 && echo hello >&3 && read -r -t 5 -u 3 a && [ \"\$a\" = hello ]"; }
eventually 60 through 8001
eventually 60 through 8002

step "killed: it is started again"
main() { inside systemctl show --property=MainPID --value "$1"; }
again() { # UNIT OLD-PID: runs as another process
	local pid
	pid=$(main "$1") && [ "$pid" != "$2" ] && [ "$pid" != 0 ] && inside systemctl is-active "$1"
}
old=$(main culvert)
inside systemctl kill --signal=KILL culvert
eventually 60 again culvert "$old"
eventually 60 through 8001

step "hung: the watchdog has it started again"
old=$(main culvert)
inside systemctl kill --signal=STOP culvert
eventually 60 again culvert "$old"
eventually 60 through 8001
inside sh -c 'journalctl --no-pager -u culvert | grep -i "watchdog timeout"'

step "upgraded: the other side's connection is held and goes on"
old=$(main culvert) oldrelay=$(main culvert-relay)
inside bash -e -c '
exec 3<>/dev/tcp/127.0.0.1/8002
echo one >&3; read -r -t 30 -u 3 a; [ "$a" = one ]
dpkg -i /root/culvert_0.0.2_*.deb >/dev/null
until [ "$(systemctl show --property=MainPID --value culvert-relay)" != '"$oldrelay"' ] && systemctl is-active -q culvert-relay; do sleep 0.3; done
echo two >&3; read -r -t 60 -u 3 b; [ "$b" = two ]
'
eventually 60 again culvert "$old"
eventually 60 through 8001
inside dpkg-query -W culvert

step "rebooted: both come back"
inside systemctl reboot
code=0; wait "$nspawn" || code=$?
[ $code = 133 ] # nspawn leaves it to whoever started it
boot
eventually 120 booted
eventually 60 inside systemctl is-active culvert-relay
eventually 60 inside systemctl is-active culvert
inside runuser -u op -- culvert status --state-dir /var/lib/culvert

step "several, and one of a user: installed, and removed with their keys"
inside sh -e -c '
cd /
culvert service install --instance work
test -f /etc/systemd/system/culvert-work.service
if culvert service start --instance work --wait 20s; then exit 1; fi # there is no configuration
culvert service uninstall --instance work
test -d /var/lib/culvert-work
culvert service install --instance work
culvert service uninstall --instance work --purge
test ! -e /var/lib/culvert-work
test ! -e /etc/systemd/system/culvert-work.service
if culvert service uninstall; then exit 1; fi # it is the package'"'"'s
loginctl enable-linger op
'
user=$(inside id -u op)
eventually 60 inside test -S "/run/user/$user/systemd/private"
inside runuser -u op -- env XDG_RUNTIME_DIR="/run/user/$user" HOME=/home/op sh -e -c '
cd
culvert service install --user --instance mine relay -- --listen 127.0.0.1:0
culvert service start --user --instance mine relay | grep "running, online"
culvert service status --user --instance mine relay --json
culvert service uninstall --user --instance mine relay --purge
test ! -e .config/culvert-relay-mine
'

step "removed: the keys stay; purged: they do not"
inside dpkg -r culvert
inside test -s /var/lib/culvert/identity.key
if inside systemctl is-active culvert culvert-relay; then exit 1; fi
inside dpkg -P culvert
inside test ! -e /var/lib/culvert
step "done, in $SECONDS s"
