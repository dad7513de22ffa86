# What test-service.sh stands on: a minimal Debian in a container that is booted. Sourced by
# it, twice: by whoever calls it, and again as the first process of a PID namespace with a
# mount namespace of its own. So nothing is mounted in the host's, and with that process,
# however it ends, the kernel ends everything that it has started.

# left_out says why nothing is tested, which is no failure: this machine can boot no container.
left_out() {
	echo "##############################################################"
	echo "# LEFT OUT: make test-service. The services were NOT tested:"
	echo "# $*"
	echo "##############################################################"
	exit 0
}

# lacking: programs that can be installed are left out only where nobody demands them.
lacking() {
	[ -z "${CULVERT_TEST_REQUIRE_ALL:-}" ] || { echo "test-service: $*"; exit 1; }
	left_out "$*"
}

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
		sleep 0.2
	done
}

# enter calls this script again, isolated. What stays behind if even this process is killed
# is a directory of which nothing is mounted or in use; the next run removes it.
enter() {
	local sudo= program
	for program in debootstrap systemd-nspawn setpriv unshare nsenter flock pgrep dpkg; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || lacking "there is no $program"
	done
	if [ "$(id -u)" != 0 ]; then
		sudo="sudo -n"
		$sudo true 2>/dev/null || left_out "this is not the superuser, and sudo wants a password"
	fi
	$sudo unshare --mount --pid --fork --mount-proc true 2>/dev/null || left_out "no namespaces can be made here"
	for work in /var/tmp/culvert-service-*; do # of runs that were killed
		[ ! -d "$work" ] || $sudo flock --nonblock "$work" rm -rf --one-file-system "$work" 2>/dev/null || true
	done
	work=$(mktemp -d /var/tmp/culvert-service-XXXXXX)
	local container=
	trap 'stop; $sudo rm -rf --one-file-system "$work"' EXIT
	trap 'exit 130' INT TERM
	[ -z "$sudo" ] || packages # by who has Go and its caches
	local code=0
	$sudo setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
		flock "$work" bash "$0" inside "$work" &
	container=$!
	wait $container || code=$? # a signal does not wait for it
	container=
	exit $code
}

# stop ends the namespaces, if they are still there: with what is directly below, all of it.
stop() {
	[ -n "${container:-}" ] || return 0
	$sudo pkill -KILL -P "$container" || true
	wait "$container" 2>/dev/null || true
}

# make_root makes $root, in memory if there is plenty of it, and looks whether it can hold a
# system's files.
make_root() {
	mkdir "$root"
	into_memory
	mknod "$root/null" c 1 3 2>/dev/null && echo >"$root/null" || left_out "no devices can be made here"
	rm "$root/null"
}

into_memory() {
	local free
	free=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
	[ "${free:-0}" -gt 3000 ] || return 0
	mount -t tmpfs -o size=1500m,mode=755 culvert-service "$root" || left_out "nothing can be mounted here"
}

# bootstrap makes the root of a minimal Debian.
bootstrap() {
	local suite mirror
	suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
	mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" "Component: main" 2>/dev/null | head -n 1)
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd,openssl "$suite" "$root" ${mirror:+"$mirror"} >"$work/debootstrap" 2>&1 &&
		[ -e "$root/sbin/init" ]
}

nspawn= # the container's process here
# leader is the container's first process. It is another one after a reboot.
leader() { pgrep -P "$nspawn" | head -n 1; }
inside() { nsenter -t "$(leader)" -m -u -i -n -p -C -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"; }

boot() {
	systemd-nspawn -q -D "$root" -b --register=no --keep-unit --private-network --hostname=box -M "${work##*/}" \
		</dev/null >>"$work/console" 2>&1 &
	nspawn=$!
}
# booted: everything was started, or is still starting, as a service that waits for network.
booted() { inside systemctl is-active multi-user.target && inside systemctl is-active dbus; }

# first_boot tells a machine that cannot boot a container from a container that fails.
first_boot() {
	boot
	if eventually 120 first_booted && [ -z "$gone" ]; then return; fi
	tail -n 20 "$work/console"
	if [ -n "$gone" ]; then left_out "systemd-nspawn cannot start a container here: $(tail -n 1 "$work/console")"; fi
	if grep -aq "Freezing execution\|Failed to mount\|Failed to create.*control group" "$work/console"; then
		left_out "systemd cannot run in a container here: $(grep -a "Freezing\|Failed" "$work/console" | head -n 1)"
	fi
	exit 1
}
gone=
first_booted() {
	if ! kill -0 "$nspawn" 2>/dev/null; then gone=yes; return 0; fi
	booted
}

reboot_container() {
	inside systemctl reboot
	local code=0
	wait "$nspawn" || code=$?
	[ $code = 133 ] # nspawn leaves it to whoever started it
	boot
	eventually 120 booted
}

# finish is what is done at the end, also of a failure.
finish() {
	local code=$?
	trap - EXIT
	if [ $code != 0 ] && [ -n "$nspawn" ]; then
		echo "== it failed; the journal's end:"
		inside journalctl --no-pager -n 60 2>/dev/null || tail -n 60 "$work/console"
	fi
	if [ -n "$nspawn" ] && kill -KILL "$nspawn" 2>/dev/null; then wait "$nspawn" 2>/dev/null || true; fi
	exit $code
}
