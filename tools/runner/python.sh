# Sets $python to a Python of at least 3.11: the project's own, then $PYTHON, then whatever the machine has.
# Read by bin/run, bin/test and bin/demo, which set $here to the folder bin.

suits() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -SE -c 'import sys; sys.exit(sys.version_info < (3, 11) or sys.implementation.name != "cpython")' >/dev/null 2>&1
}

python=
for candidate in "${here%/bin}/.venv/bin/python" "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11 \
    /usr/local/bin/python3 /opt/homebrew/bin/python3 /usr/bin/python3 python; do
    if [ -n "$candidate" ] && suits "$candidate"; then
        python=$candidate
        break
    fi
done

if [ -z "$python" ]; then
    found=$(python3 --version 2>/dev/null) || found="no python3 at all"
    {
        echo "Settled needs Python 3.11 or newer; this machine has ${found}."
        echo "Install one (Debian/Ubuntu: apt-get install python3 python3-venv; macOS: brew install python) and start again,"
        echo "or name it: PYTHON=/path/to/python3.12 bin/${0##*/}"
    } >&2
    exit 1
fi
