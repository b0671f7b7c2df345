#!/bin/sh
# Runs every test of a build folder and closes with the counts. usage: tools/test.sh BUILD
# Long work is not here: make campaign.
set -u
build=$1
log=$build/meson-logs/testlog.txt
CONVSCOPE_BUILD=$(cd "$build" && pwd)
export CONVSCOPE_BUILD
meson test -C "$build" --no-rebuild --print-errorlogs --num-processes 2
status=$?
count() { sed -n "s/^$1: *\([0-9][0-9]*\).*/\1/p" "$log" | tail -n 1; }
ok=$(count Ok); fail=$(count Fail); timeout=$(count Timeout); skipped=$(count Skipped)
unexpected=$(count 'Unexpected Pass')
echo
if [ "${skipped:-0}" != 0 ]; then
    echo "skipped:"
    sed -n 's/^ *[0-9]*\/[0-9]* *\(.*\) *SKIP.*/  \1/p' "$log" | sort -u
fi
echo "$((${ok:-0})) passed, $((${fail:-0} + ${timeout:-0} + ${unexpected:-0})) failed, $((${skipped:-0})) skipped"
exit $status
