#!/bin/sh
# Chromium for the browser tests: found on the PATH, or installed with apt-get where root on Debian.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium ..."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
    exit 0
fi
echo "The browser tests need Chromium on the PATH: install the package chromium (or google-chrome)" >&2
echo "with your system's package manager and run the command again." >&2
exit 1
