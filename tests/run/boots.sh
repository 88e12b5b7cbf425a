# For tests/run/boots and tests/run/matrix: runs boots with cargo, and reads its output.
# shellcheck shell=sh

# boots AT_A_TIME ARGUMENT...: runs the boots that these arguments of the test harness
# select.
boots() {
	at_a_time=$1
	shift
	"${CARGO:-cargo}" test --no-fail-fast --test machines \
		-- --ignored "--test-threads=$at_a_time" "$@" </dev/null
}

# list FILE: the names in the output of `boots 1 --list`.
list() { sed -n 's/: test$//p' "$1"; }

# passed FILE: the names of the boots that passed, from the output of `boots`.
passed() { sed -n 's/^test \(.*\) \.\.\. ok$/\1/p' "$1"; }
