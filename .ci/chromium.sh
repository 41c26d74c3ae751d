#!/bin/sh
# Prints the path of a Chromium that starts; prints nothing where there is none.
#
#   .ci/chromium.sh [PYTHON]     PYTHON: an interpreter that has playwright (default: .venv/bin/python)
#
# Looked for in this order: SEGLAB_CHROMIUM, the PATH, playwright's own download, the system's package manager (root
# only), a fresh download by playwright. Without one it fails when CI is set; otherwise the browser tests skip.
set -eu
python=${1:-.venv/bin/python}

say() { printf 'seglab: %s\n' "$*" >&2; }

# A name on the PATH is not enough: Ubuntu's chromium-browser is a stub that only asks for a snap.
starts() { [ -n "$1" ] && "$1" --version >/dev/null 2>&1; }

found() {
    if starts "$1"; then
        printf '%s\n' "$1"
        exit 0
    fi
}

search_path() {
    for name in chromium chromium-browser google-chrome-stable google-chrome chrome; do
        found "$(command -v "$name" 2>/dev/null || true)"
    done
}

playwright_path() {
    "$python" -c 'from playwright.sync_api import sync_playwright as start
with start() as playwright: print(playwright.chromium.executable_path)' 2>/dev/null || true
}

install_system() {
    say "installing the system's chromium"
    if command -v apt-get >/dev/null 2>&1; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get install -y -q --no-install-recommends chromium ||
            { apt-get update -q && apt-get install -y -q --no-install-recommends chromium; }
    elif command -v dnf >/dev/null 2>&1; then
        dnf install -y -q chromium
    elif command -v apk >/dev/null 2>&1; then
        apk add --no-cache chromium
    else
        return 1
    fi >&2
}

if [ -n "${SEGLAB_CHROMIUM:-}" ]; then
    found "$SEGLAB_CHROMIUM"
    say "SEGLAB_CHROMIUM='$SEGLAB_CHROMIUM' does not start; correct it or unset it."
    exit 1
fi
search_path
found "$(playwright_path)"
if [ "$(id -u)" = 0 ] && install_system; then
    search_path
fi
say "downloading playwright's chromium"
"$python" -m playwright install chromium >&2 || true
found "$(playwright_path)"

say "no Chromium that starts. Install one (Debian: sudo apt-get install chromium) or set SEGLAB_CHROMIUM to its path."
[ "${CI:-false}" = false ] || exit 1
say "the browser tests will be skipped."
