#!/bin/sh
# Installs the Debian or Ubuntu packages that Convscope needs and that are missing, and says which.
# usage: tools/install.sh build|test|bench ...     (uses sudo only when something is missing and you are not root)
set -eu

packages() {
    case "$1" in
    build)
        echo gcc libc6-dev make meson ninja-build pkg-config zlib1g-dev libpng-dev libjpeg-dev libwebp-dev libcairo2-dev \
            libpango1.0-dev libjansson-dev libwebsockets-dev libgif-dev libsqlite3-dev fonts-dejavu-core fonts-noto-cjk python3
        command -v npm >/dev/null 2>&1 || echo nodejs npm ;;
    test)
        echo git python3 libcmocka-dev libopenmpi-dev openmpi-bin clang clang-format libclang-rt-dev binutils librsvg2-bin graphviz ;;
    bench)
        echo python3-venv python3-torch python3-torchvision libdnnl-dev
        command -v npm >/dev/null 2>&1 || echo nodejs npm ;;
    *)
        echo "tools/install.sh: unknown group '$1' (build, test or bench)" >&2
        exit 2 ;;
    esac
}

command -v dpkg-query >/dev/null 2>&1 || {
    echo "convscope: this system has no dpkg; install what tools/install.sh lists by hand, then run meson and ninja" >&2
    exit 1
}

# Every installed package name and every name that one of them provides (libjpeg-dev, pkg-config).
have=" $(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' |
    sed -n 's/^installed //p' | sed 's/([^)]*)//g; s/,/ /g' | tr '\n' ' ') "

missing=
for group in "$@"; do
    for package in $(packages "$group"); do
        case "$have" in
        *" $package "*) ;;
        *) missing="$missing $package" ;;
        esac
    done
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "convscope: missing packages:$missing; become root or install sudo, then run make again" >&2
        exit 1
    }
    as_root=sudo
fi
echo "convscope: installing$missing" >&2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || {
    echo "convscope: apt-get update failed; is the network there?" >&2
    exit 1
}
# shellcheck disable=SC2086 # a list of names
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2 || {
    echo "convscope: apt-get could not install$missing" >&2
    exit 1
}
