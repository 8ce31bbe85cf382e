# common.sh: what the tests of the command line share; sourced by each of them, which are called with
#     CAMBIUM HELPER SOURCE_ROOT BUILD_ROOT
# Each works in a folder of its own that is removed at the end; a failure is a line, the last line is the count.
# shellcheck shell=sh disable=SC2034
cambium=$1 helper=$2 root=$3 build=$4
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export CAMBIUM_DATA="$work/data" CAMBIUM_OFFLINE=1
cd "$work" || exit 1
passed=0 failed=0

pass() { passed=$((passed + 1)); }
say_failed() { echo "FAILED: $*" && failed=$((failed + 1)); }

# expect NAME CODE 'TEXT' ARGUMENT...: the exit code, and a piece of what is said.
expect() {
    name=$1 code=$2 text=$3
    shift 3
    "$cambium" "$@" >out 2>&1 </dev/null
    got=$?
    if [ "$got" -ne "$code" ]; then
        say_failed "$name: exit code $got, not $code: $(head -n 2 out)"
    elif ! grep -qF -- "$text" out; then
        say_failed "$name: does not say '$text': $(head -n 2 out)"
    else
        pass
    fi
}

# good NAME COMMAND...: the command succeeds.
good() {
    name=$1
    shift
    if "$@" >good.out 2>&1 </dev/null; then pass; else say_failed "$name: $(head -n 3 good.out)"; fi
}

# json NAME all|last 'FIELD...' ARGUMENT...: exit code 0, and standard output is nothing but such lines.
json() {
    name=$1 which=$2 fields=$3
    shift 3
    if ! "$cambium" "$@" --json >json.out 2>json.err </dev/null; then
        say_failed "$name: $(head -n 2 json.err)"
        return
    fi
    # shellcheck disable=SC2086 # words on purpose
    if why=$("$helper" json "$which" $fields <json.out); then pass; else say_failed "$name: $why"; fi
}

same() { if cmp -s "$2" "$3"; then pass; else say_failed "$1: $2 and $3 differ"; fi; }
is_there() { if [ -e "$2" ]; then pass; else say_failed "$1: there is no $2"; fi; }
is_gone() { if [ -e "$2" ]; then say_failed "$1: $2 is there"; else pass; fi; }

task() { cat >t.yaml; } # standard input becomes t.yaml

# pictures FOLDER COUNT: three classes in FOLDER.
pictures() {
    for seed in 1 2 3; do
        mkdir -p "$1/kind$seed" && "$helper" pictures "$1/kind$seed" "$2" $seed || exit 1
    done
}

# Ends the test where no device is: on the short list of causes for a skip.
need_device() {
    "$cambium" devices >/dev/null 2>&1 || {
        echo "skipped: no OpenCL device"
        exit 77
    }
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
}
