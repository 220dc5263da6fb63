#!/bin/sh
# Sets up .venv with the package in it, and the system libraries that its window needs.
#
#   scripts/bootstrap.sh all       what a user needs (make demo)
#   scripts/bootstrap.sh all,dev   and what the tests need (make test)
#
# Does only what is missing, so that a second run is over at once. PYTHON names an interpreter to
# prefer; pip's own configuration is respected.
set -eu
cd "$(dirname "$0")/.."

extras=${1:-all}
venv=.venv
stamp=$venv/set-up-done

# What Qt and OpenGL load at run time; pip cannot install these.
libraries="libdbus-1-3 libegl1 libfontconfig1 libgl1 libgl1-mesa-dri libglib2.0-0 libglx-mesa0 libx11-xcb1
 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0
 libxcb-sync1 libxcb-xfixes0 libxcb-xkb1 libxkbcommon-x11-0 fonts-dejavu-core"
virtual_display="xvfb xauth"
validator="dicom3tools"
database="postgresql"
# What Debian's packages read before they make a database server of their own; tests name another file.
clusters=${POSTGRESQL_CREATECLUSTER:-/etc/postgresql-common/createcluster.conf}

say() { printf '%s\n' "$*"; }
stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }
makes_venvs() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Sets `python` to an interpreter that suits, one that can make environments if there is one.
find_python() {
    python=""
    for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        suits "$name" || continue
        if makes_venvs "$name"; then
            python=$name
            return
        fi
        python=${python:-$name}
    done
}

# Prints the packages among its arguments that dpkg does not have.
lacking() {
    have=" $(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^ii *//p' | tr '\n' ' ')"
    for package in "$@"; do
        # Since Debian 13 and Ubuntu 24.04 some of these carry the suffix t64.
        case "$have" in
            *" $package "* | *" ${package}t64 "*) ;;
            *) printf '%s ' "$package" ;;
        esac
    done
}

is_debian() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

install_system_packages() {
    wanted=$libraries
    if [ "$extras" != all ]; then
        wanted="$wanted $virtual_display $validator $database"
    elif [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
        wanted="$wanted $virtual_display"
    fi
    if ! command -v "${python:-python3}" >/dev/null; then
        wanted="$wanted python3 python3-venv"
    elif [ -n "$python" ] && [ "$python" != $venv/bin/python ] && ! makes_venvs "$python"; then
        wanted="$wanted python3-venv python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    fi
    # shellcheck disable=SC2086  # a list of words
    missing=$(lacking $wanted)
    [ -n "$missing" ] || return 0
    install="apt-get install -y --no-install-recommends ${missing% }"
    if [ "$(id -u)" -ne 0 ]; then
        stop "These system packages are missing: ${missing% }" "Type this line, then run the same command again:" "" \
            "  sudo apt-get update && sudo $install" ""
    fi
    say "Installing system packages: ${missing% }"
    # The tests start a server of their own; none is to run on this machine because of them.
    case " $missing" in
        *" $database "*) [ -e "$clusters" ] || { mkdir -p "$(dirname "$clusters")" && say "create_main_cluster = false" >"$clusters"; } ;;
    esac
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q || say "The package lists could not be refreshed; trying with those that are here."
    $install || stop "apt-get could not install ${missing% }. Correct what it says above, then run the same command again."
}

if suits $venv/bin/python; then
    python=$venv/bin/python
else
    find_python
fi

state="$(cksum <pyproject.toml) $PWD"
done_before=$(cat $stamp 2>/dev/null || true)

if is_debian; then
    install_system_packages
elif [ -z "$done_before" ]; then
    say "This is not Debian or Ubuntu: system libraries are not checked. If the window does not open, run '.venv/bin/tumorseg doctor'."
fi
[ -n "$python" ] || find_python
[ -n "$python" ] || stop "Python 3.11, 3.12 or 3.13 is needed and none was found on the PATH." \
    "Install one and run the same command again, or name it: PYTHON=/path/to/python3 make demo"

# An environment with the tests' packages serves for use as well.
case "$done_before" in
    "$state $extras" | "$state all,dev") exit 0 ;;
    "" | *" $PWD "*) ;;
    # The scripts inside an environment hold its path, so a moved one is made anew.
    *)
        rm -rf $venv
        find_python
        ;;
esac

if ! suits $venv/bin/python; then
    makes_venvs "$python" || stop "$python cannot make virtual environments: its modules venv and ensurepip are missing." \
        "Install them, or name another interpreter: PYTHON=/path/to/python3 make demo"
    say "Making the environment $venv with $("$python" --version)"
    "$python" -m venv --clear $venv
fi
say "Installing the package and what it needs; the first time this takes a few minutes"
$venv/bin/python -m pip install --editable ".[$extras]" ||
    stop "pip could not install the package. Check the network and the lines above, then run the same command again."
say "$state $extras" >$stamp
