#!/usr/bin/env bash
# Fuzzes every target of the module, several at a time: make fuzz.
#
#   FUZZTIME   time for each target (10s)
#   FUZZJOBS   targets at a time (number of CPUs)
#   FUZZ       only targets whose "package Name" matches this extended regular expression
#
# Each package's binary is built once, with the instrumentation that guides the fuzzer, and run
# with one worker for each target. What it finds interesting is kept where `go test -fuzz` keeps
# it (go clean -fuzzcache forgets it). A target that fails does not keep the others from running;
# its input is printed and lies in its package's testdata, where `go test` runs it from then on.
set -euo pipefail

# one runs the target in line $1 of the table.
one() {
	local line=$1 package dir name bin log verdict=ok began=$SECONDS
	IFS=$'\t' read -r package dir name bin < <(sed -n "${line}p" "$FUZZWORK/table")
	log=$FUZZWORK/$line.log
	cd "$dir"
	# Inputs are made smaller in 50 runs at most: by default the fuzzer takes a minute for one.
	set -- -test.paniconexit0 -test.run='^$' -test.fuzz="^$name\$" -test.fuzztime="$FUZZTIME" -test.fuzzminimizetime=50x \
		-test.parallel=1 -test.fuzzcachedir="$FUZZCACHE/$package"
	if ! "$bin" "$@" >"$log" 2>&1; then
		verdict=FAIL
		if not_ours "$log" "$bin" "$name"; then
			"$bin" "$@" >"$log" 2>&1 && verdict=again
		fi
	fi
	report "$line" "$verdict" "$package" "$name" $((SECONDS - began))
	[ "$verdict" != FAIL ] || complain "$log" "$dir"
}

# not_ours tells whether a run failed by the fuzzer and not by what it found; such a one is
# repeated once. On a machine that is busy, or stands still for seconds, it stops its workers too
# late (a deadline, and no failing input), or takes one for hung whose input, alone, is in order.
not_ours() {
	local input
	input=$(sed -n 's/^ *Failing input written to //p' "$1" | tail -n 1)
	if [ -z "$input" ]; then
		grep -q 'context deadline exceeded' "$1"
		return
	fi
	grep -q 'process hung or terminated unexpectedly' "$1" || return 1
	"$2" -test.paniconexit0 -test.timeout=1m -test.run="^$3\$/^${input##*/}\$" >/dev/null 2>&1 || return 1
	echo "      $3: a worker hung or died, and does not with the same input:"
	head -c 4096 "$input" | sed 's/^/      | /'
	rm -f "$input"
}

# report prints a target's line and keeps it for the sum.
report() {
	local figures
	figures=$(sed -n 's/^fuzz: elapsed: .*, execs: \([0-9]*\) .*, new interesting: \([0-9]*\) (total: \([0-9]*\)).*/\1 \2 \3/p' "$FUZZWORK/$1.log" | tail -n 1)
	# shellcheck disable=SC2086 # three words
	set -- "$1" "$2" "$3" "$4" "$5" ${figures:-0 0 0}
	printf '%s\t%s %s\t%s\t%s\n' "$2" "$3" "$4" "$6" "$7" >"$FUZZWORK/$1.result"
	printf '%-5s %-46s %10s execs %8s/s %5s new of %-5s %ss\n' "$2" "${3#*/} $4" "$6" $(($6 / ($5 > 0 ? $5 : 1))) "$7" "$8" "$5"
}

# complain prints what a target said that failed, and its input.
complain() {
	local input
	sed 's/^/      /' "$1"
	sed -n 's/^ *Failing input written to //p' "$1" | while read -r input; do
		echo "      $2/$input:"
		head -c 4096 "$2/$input" | sed 's/^/      | /'
	done
}

if [ "${1-}" = one ]; then
	one "$2"
	exit
fi

cd "$(dirname "$0")/.."
GO=${GO:-go}
export FUZZTIME=${FUZZTIME:-10s}
FUZZJOBS=${FUZZJOBS:-$(getconf _NPROCESSORS_ONLN)}
FUZZCACHE=$("$GO" env GOCACHE)/fuzz
FUZZWORK=$(mktemp -d)
export FUZZCACHE FUZZWORK
trap 'rm -rf "$FUZZWORK"' EXIT
trap 'exit 130' INT TERM

"$GO" list -f '{{.ImportPath}}{{"\t"}}{{.Dir}}' ./... | while IFS=$'\t' read -r package dir; do
	bin=$FUZZWORK/$(echo "$package" | tr / .).test
	{ grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null || true; } | sed 's/^func //' | while read -r name; do
		echo "$package $name" | grep -Eq -- "${FUZZ:-.}" && printf '%s\t%s\t%s\t%s\n' "$package" "$dir" "$name" "$bin"
	done || true
done >"$FUZZWORK/table"
targets=$(wc -l <"$FUZZWORK/table")
[ "$targets" -gt 0 ] || { echo "no fuzz target matches ${FUZZ:-.}"; exit 1; }

cut -f 1,4 "$FUZZWORK/table" | uniq | while IFS=$'\t' read -r package bin; do
	"$GO" test -c -fuzz=Fuzz -o "$bin" "$package"
done
echo "fuzz: $((targets)) targets, $FUZZTIME each, $FUZZJOBS at a time; built in ${SECONDS}s"

seq "$targets" | xargs -P "$FUZZJOBS" -n 1 "$0" one

cat "$FUZZWORK"/*.result | awk -F'\t' -v all="$targets" -v took="$SECONDS" '
	{ execs += $3; fresh += $4 }
	$1 == "FAIL" { bad++; names = names "\n      " $2 }
	END {
		printf "fuzz: %d targets, %d failed, %.0f execs, %d new interesting inputs, %d min %02d s%s\n", all, bad, execs, fresh, took/60, took%60, names
		exit bad > 0 || NR != all
	}'
