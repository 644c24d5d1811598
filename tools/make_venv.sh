#!/bin/sh
# Make the virtual environment $1 with the first Python that will do, and install the locked packages
# and this one (editable). PYTHON=/path/to/python chooses another.
set -eu
venv=$1

suits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not sys.version_info >= (3, 11))' >/dev/null 2>&1
}

if [ ! -x "$venv/bin/python" ] || ! suits "$venv/bin/python"; then
    found=
    for python in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if suits "$python"; then
            found=$python
            break
        fi
    done
    if [ -z "$found" ]; then
        echo "Python 3.11 or newer with venv is needed (Debian and Ubuntu: apt install python3-venv)." >&2
        exit 1
    fi
    echo "Making $venv with $("$found" --version)"
    "$found" -m venv --clear "$venv"
fi
echo "Installing the locked packages into $venv (the first time takes a few minutes)"
"$venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check -r requirements.lock
"$venv/bin/python" -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
