#!/bin/sh
# Runs one of the checks beside the project (../shared/checks/NAME); exit 77, a visible skip, where that folder is absent.
cd "$(dirname "$0")/.." || exit 1
check=../shared/checks/$1
[ -x "$check" ] || { echo "skipped: $check is not there"; exit 77; }
exec "$check"
