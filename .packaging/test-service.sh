#!/usr/bin/env bash
# The package on a real systemd: a minimal Debian in a container is booted, gets the package,
# runs relay and tunnel as services, has them killed, hung, rebooted (also without network),
# upgraded and removed. Takes a minute or two. Needs the superuser or sudo, debootstrap and
# systemd-nspawn; where no container can be booted, it says so and leaves everything out.
# Nothing outside the container is touched: see service-container.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. .packaging/service-container.sh

arch=$(dpkg --print-architecture 2>/dev/null || true)
packages() {
	for version in 0.0.1 0.0.2; do
		make -s release-snapshot RELEASEFLAGS="-version $version -platforms linux/$arch -formats deb -out $work"
	done
}

if [ "${1:-}" != inside ]; then
	set -- # the words are gone
	work= enter
fi
work=$2 root=$2/root
trap finish EXIT
trap 'exit 130' INT TERM
make_root

step "a minimal Debian, and the package in two versions"
bootstrap &
bootstrapping=$!
[ -e "$work/culvert_0.0.2_$arch.deb" ] || packages
wait $bootstrapping || { tail -n 5 "$work/debootstrap"; exit 1; }
cp "$work"/*.deb "$root/root/"

step "boot"
# The network is an address that the container gets when networkd is started. networkd's own
# wait-online would wait for a real device.
printf '[Match]\nName=lo\n[Network]\nAddress=10.7.7.7/32\n' >"$root/etc/systemd/network/lo.network"
ln -s /dev/null "$root/etc/systemd/system/systemd-networkd-wait-online.service"
echo "10.7.7.7 relay.test" >>"$root/etc/hosts"
echo box >"$root/etc/hostname"
first_boot
inside systemctl enable -q --now systemd-networkd

step "install the package: nothing starts by itself"
inside dpkg -i "/root/culvert_0.0.1_$arch.deb"
if inside systemctl is-active culvert culvert-relay; then exit 1; fi
inside test -s /usr/share/man/man1/culvert-service.1.gz
inside test -s /usr/share/bash-completion/completions/culvert

step "relay, with a key that only root can read"
inside sh -e -c '
mkdir -p /etc/culvert /etc/systemd/system/culvert-relay.service.d /etc/systemd/system/culvert.service.d
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=relay.test -addext subjectAltName=DNS:relay.test \
	-keyout /etc/culvert/key.pem -out /etc/culvert/cert.pem 2>/dev/null
install -m 644 /etc/culvert/cert.pem /etc/ssl/certs/ca-certificates.crt
printf "[Service]\nRestartSec=1\nEnvironment=PUBLIC_URL=https://relay.test\n" > /etc/systemd/system/culvert-relay.service.d/test.conf
printf "[Service]\nRestartSec=1\nWatchdogSec=5\n" > /etc/systemd/system/culvert.service.d/test.conf
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
culvert login https://relay.test --state-dir /var/lib/culvert < /root/me.key
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
culvert service logs | grep -q "online as box"
for unit in culvert culvert-relay; do
	test "$(stat -c %U /proc/$(systemctl show --property=MainPID --value $unit))" = culvert
done
runuser -u op -- culvert status --state-dir /var/lib/culvert | grep "daemon box *online"
runuser -u op -- culvert pair --state-dir /var/lib/culvert > /root/code
if runuser -u other -- culvert status --state-dir /var/lib/culvert; then exit 1; fi
if runuser -u other -- culvert pair --state-dir /var/lib/culvert; then exit 1; fi
runuser -u op -- culvert pair - --relay https://relay.test --state-dir /home/op/c < /root/code
test "$(stat -c %U /var/lib/culvert/* | sort -u)" = culvert
'
# A client, and a daemon beside the packaged one, of the other side: they stay as they are.
inside sh -e -c '
cd /
runuser -u op -- culvert login https://relay.test --state-dir /home/op/d < /root/me.key
systemd-run -q --unit=theirs --uid=op culvert expose --state-dir /home/op/d --name theirs echo=7007
'
eventually 60 inside runuser -u op -- sh -c 'culvert pair --state-dir /home/op/d > /home/op/code && culvert pair - --relay https://relay.test --state-dir /home/op/c < /home/op/code'
forwards() {
	inside systemd-run -q --unit=to-box --uid=op culvert forward box 8001:echo --state-dir /home/op/c
	[ -z "${1:-}" ] || inside systemd-run -q --unit=to-theirs --uid=op culvert forward theirs 8002:echo --state-dir /home/op/c
}
forwards both
through() { inside bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 && echo hello >&3 && read -r -t 5 -u 3 a && [ \"\$a\" = hello ]"; }
eventually 60 through 8001
eventually 60 through 8002

step "killed: it is started again"
main() { inside systemctl show --property=MainPID --value "$1"; }
again() { # UNIT OLD-PID: runs as another process
	local pid
	pid=$(main "$1") && [ "$pid" != "$2" ] && [ "$pid" != 0 ] && inside systemctl is-active "$1"
}
for unit in culvert culvert-relay; do
	old=$(main $unit)
	inside systemctl kill --signal=KILL $unit
	eventually 60 again $unit "$old"
	eventually 60 through 8001
done

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
reboot_container
eventually 60 inside systemctl is-active culvert-relay
eventually 60 inside systemctl is-active culvert
forwards
eventually 60 through 8001

step "booted without network: the boot does not wait, and it comes up with the network"
inside systemctl disable -q systemd-networkd
reboot_container
eventually 60 inside systemctl is-active culvert-relay # it listens
eventually 30 inside sh -c 'systemctl show --property=StatusText culvert | grep offline'
inside sh -e -c '
test "$(systemctl show --property=ActiveState --value culvert)" = activating
culvert service status | grep "culvert: starting, not online yet"
systemctl start systemd-networkd
'
eventually 120 inside systemctl is-active culvert
forwards
eventually 60 through 8001

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

culvert service install relay --instance eu -- --listen 127.0.0.1:0
culvert service start relay --instance eu | grep "running, online"
old=$(systemctl show --property=MainPID --value culvert-relay-eu)
test "$(stat -c %U /proc/$old)" = culvert
systemctl is-enabled culvert-relay-eu
culvert service restart relay --instance eu | grep "running, online"
test "$(systemctl show --property=MainPID --value culvert-relay-eu)" != "$old"
culvert service logs relay --instance eu | grep "relay ready at http://127.0.0.1"
test "$(culvert service stop relay --instance eu)" = "culvert-relay-eu: stopped"
if culvert service status relay --instance eu; then exit 1; fi
culvert service start relay --instance eu
culvert service uninstall relay --instance eu # while it runs
if systemctl is-active culvert-relay-eu; then exit 1; fi
test -s /var/lib/culvert-relay-eu/relay.db
'
user=$(inside id -u op)
as_op() { inside runuser -u op -- env XDG_RUNTIME_DIR="/run/user/$user" HOME=/home/op "$@"; }
inside systemctl start "user@$user"
eventually 60 inside test -S "/run/user/$user/systemd/private"
as_op sh -e -c 'cd; culvert service install --user --instance mine relay -- --listen 127.0.0.1:0 2>&1 | grep "loginctl enable-linger"'
inside loginctl enable-linger op
as_op sh -e -c '
cd
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
