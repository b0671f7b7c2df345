#!/bin/sh
# Makes the pictures of the READMEs from the built-in model: the report in both languages, photographed by a headless Chromium.
# usage: tools/make_pictures.sh [MODEL IMAGE]   (after make; needs chromium)
set -eu
cd "$(dirname "$0")/.."
model=${1:-models/things.onnx}
image=${2:-models/things_bicycle.png}
work=$(mktemp -d)
for lang in en zh; do
    build/convscope report "$model" "$image" -o "$work/$lang.html" --lang "$lang"
    chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
        --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$work/profile" \
        --screenshot="docs/pictures/report-$lang.png" --window-size=1200,1180 "file://$work/$lang.html" >"$work/log" 2>&1
done
rm -rf "$work"
