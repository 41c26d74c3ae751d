#!/bin/sh
# Makes the virtual environment, or repairs one that another Python or another folder has broken, and installs
# seglab into it with the versions of constraints.txt.
#
#   .ci/venv.sh PYTHON VENV TARGET     for example: .ci/venv.sh python3 .venv '.[test]'
#
# Everything it says goes to stderr, so that `make demo | tail -1` sees only the demo's own output.
set -eu
python=$1
venv=$2
target=$3
exec >&2

fail() {
    printf 'seglab: %s\n' "$*"
    exit 1
}

check_python() {
    command -v "$python" >/dev/null 2>&1 ||
        fail "there is no '$python' here. Install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=/path/to/python3.12"
    "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' ||
        fail "needs Python 3.11, 3.12 or 3.13, and '$python' is $("$python" --version 2>&1)." \
            "Name another one: make PYTHON=python3.12"
}

usable() {
    [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        [ "$(cat "$venv/.home" 2>/dev/null)" = "$PWD" ]
}

make_venv() {
    if [ -e "$venv" ]; then
        [ -f "$venv/pyvenv.cfg" ] || fail "'$venv' exists and is not a virtual environment; move it away first."
        echo "seglab: $venv is incomplete or was made elsewhere; making it anew"
        rm -rf "$venv"
    fi
    "$python" -m venv "$venv" && return
    rm -rf "$venv"
    # Debian and Ubuntu ship Python without the module that puts pip into a virtual environment.
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "seglab: installing $package"
        { apt-get install -y -q "$package" || { apt-get update -q && apt-get install -y -q "$package"; }; } &&
            "$python" -m venv "$venv" && return
        rm -rf "$venv"
    fi
    fail "'$python -m venv' failed. On Debian or Ubuntu: sudo apt-get install $package. Then run make again."
}

check_python
usable || make_venv
echo "seglab: installing $target into $venv (some minutes the first time)"
"$venv/bin/python" -m pip install -q --no-input --disable-pip-version-check ${PIPFLAGS:-} -c constraints.txt -e "$target" ||
    fail "pip could not install $target; its message is above. Run make again once the cause is gone."
printf '%s\n' "$PWD" >"$venv/.home"
