#!/bin/sh
# Builds everything with clang, AddressSanitizer and UndefinedBehaviorSanitizer and libFuzzer, and runs every fuzz target on its
# seeds. usage: tools/fuzz.sh SECONDS (of all targets together; 0: only build and run the unit tests). Finds stay in build-fuzz/finds.
set -eu
seconds=$1
cd "$(dirname "$0")/.."
command -v clang >/dev/null 2>&1 || { echo "fuzz: skipped, no clang"; exit 77; }
[ -f build-fuzz/build.ninja ] ||
    CC=clang meson setup build-fuzz -Dfuzz=true -Doptimization=1 -Db_sanitize=address,undefined -Db_lundef=false >build-fuzz.log 2>&1 ||
    { cat build-fuzz.log; exit 1; }
rm -f build-fuzz.log
ninja -C build-fuzz --quiet
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1
export UBSAN_OPTIONS ASAN_OPTIONS
if [ "$seconds" = 0 ]; then
    exec meson test -C build-fuzz --no-rebuild --suite unit --print-errorlogs --num-processes 2 --timeout-multiplier 6
fi
targets=$(find build-fuzz/tests -maxdepth 1 -name 'fuzz_*' -type f -perm -100 | sort)
n=$(echo "$targets" | wc -l)
each=$((seconds / n))
[ "$each" -ge 1 ] || each=1
mkdir -p build-fuzz/finds
failed=0
for target in $targets; do
    name=$(basename "$target" | sed 's/^fuzz_//')
    corpus=build-fuzz/corpus-$name
    mkdir -p "$corpus"
    seeds=
    [ -d "tests/fuzz/seeds/$name" ] && seeds="tests/fuzz/seeds/$name"
    # shellcheck disable=SC2086 # an optional folder
    if "$target" -max_total_time="$each" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=10 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="build-fuzz/finds/$name-" "$corpus" $seeds >"build-fuzz/fuzz-$name.log" 2>&1; then
        echo "fuzz $name: $(sed -n 's/.*number_of_executed_units: *//p' "build-fuzz/fuzz-$name.log") executions, nothing found"
    else
        echo "fuzz $name: FOUND, see build-fuzz/fuzz-$name.log"
        tail -n 25 "build-fuzz/fuzz-$name.log"
        failed=1
    fi
done
exit $failed
