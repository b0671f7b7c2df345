#!/bin/sh
# Builds everything with clang, AddressSanitizer and UndefinedBehaviorSanitizer and libFuzzer. usage:
#   tools/fuzz.sh unit        the unit tests under the sanitizers
#   tools/fuzz.sh same        every fuzz target from its seeds, one fixed random sequence each, of some seconds: the same on every machine
#   tools/fuzz.sh SECONDS     a campaign: new random sequences, SECONDS for all targets together, the least fuzzed first, going on where
#                             the last one stopped (tools/fuzz_campaign.py; its slots are kept in build-fuzz)
#   tools/fuzz.sh allocations every allocation of every seed fails in turn, in every target
#   tools/fuzz.sh ledger      adds the campaign's slots to docs/campaign.csv; `totals` prints them
# TARGETS="net onnx" limits it to those. Finds stay in build-fuzz/finds. TRACE=no: targets that do not trace comparisons, for a campaign
# whose corpora know the formats' words already: 1.3 to 1.9 times as many executions a second.
set -eu
what=$1
cd "$(dirname "$0")/.."
case $what in ledger | totals) exec python3 tools/fuzz_campaign.py build-fuzz "$what" ;; esac
command -v clang >/dev/null 2>&1 || { echo "fuzz: skipped, no clang"; exit 77; }
build=build-fuzz
trace=true
if [ "${TRACE:-yes}" = no ]; then
    build=build-fuzz-fast
    trace=false
fi
mkdir -p build-fuzz
[ -f $build/build.ninja ] ||
    CC=clang meson setup $build -Dfuzz=true -Dfuzz_trace=$trace -Doptimization=2 -Db_sanitize=address,undefined -Db_lundef=false >build-fuzz.log 2>&1 ||
    { cat build-fuzz.log; exit 1; }
rm -f build-fuzz.log
if [ "$what" = unit ]; then
    ninja -C $build --quiet
else
    ninja -C $build --quiet fuzzers
fi
git rev-parse --short HEAD >$build/commit 2>/dev/null || echo unknown >$build/commit
UBSAN_OPTIONS=print_stacktrace=1
ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1:quarantine_size_mb=8
export UBSAN_OPTIONS ASAN_OPTIONS
if [ "$what" = unit ]; then
    exec meson test -C $build --no-rebuild --suite unit --print-errorlogs --num-processes 2 --timeout-multiplier 3
fi
[ "$what" = same ] || PROGRAMS=$build exec python3 tools/fuzz_campaign.py build-fuzz "$what"
targets=${TARGETS:-$(find $build/tests -maxdepth 1 -name 'fuzz_*' -type f -perm -100 | sed 's/.*fuzz_//' | sort)}
mkdir -p build-fuzz/finds
failed=0
for name in $targets; do
    seeds=
    [ -d "tests/fuzz/seeds/$name" ] && seeds="tests/fuzz/seeds/$name"
    corpus=build-fuzz/fresh-$name
    rm -rf "$corpus"
    mkdir -p "$corpus"
    case $name in
    idx | image | npy | safetensors) runs=400000 ;; # small readers: 10^5 inputs a second
    cifar | events | hdf5 | zip) runs=40000 ;;
    *) runs=8000 ;; # a whole model is built from each
    esac
    found=nothing
    # shellcheck disable=SC2086 # an optional folder
    "$build/tests/fuzz_$name" -seed=1 -runs=$runs -max_total_time=40 -entropic=0 -print_funcs=0 -detect_leaks=0 -rss_limit_mb=2048 \
        -malloc_limit_mb=1024 -timeout=60 -verbosity=0 -print_final_stats=1 -artifact_prefix="build-fuzz/finds/$name-" \
        "$corpus" $seeds >"build-fuzz/fuzz-$name.log" 2>&1 || found=something
    runs=$(sed -n 's/.*number_of_executed_units: *//p' "build-fuzz/fuzz-$name.log")
    echo "fuzz $name: ${runs:-0} executions, $found found"
    if [ "$found" != nothing ]; then
        grep -v NEW_FUNC "build-fuzz/fuzz-$name.log" | tail -n 60
        failed=1
    fi
    rm -rf "$corpus"
done
exit $failed
