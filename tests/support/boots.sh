# For tests/boots and tests/matrix: boots by cargo, and what it says of them.
# shellcheck shell=sh

# boots AT_A_TIME ARGUMENT...: runs the boots that these arguments of the test
# harness select.
boots() {
	at_a_time=$1
	shift
	"${CARGO:-cargo}" test --no-fail-fast --test boot --test handover \
		-- --ignored "--test-threads=$at_a_time" "$@" </dev/null
}

# list FILE: the names in what `boots 1 --list` has printed.
list() { sed -n 's/: test$//p' "$1"; }

# passed FILE: the names of those that passed, of what `boots` has printed.
passed() { sed -n 's/^test \(.*\) \.\.\. ok$/\1/p' "$1"; }
