#!/bin/sh
# Makes ./configure and Makefile.in from configure.ac and Makefile.am.
# A release tarball (make dist) carries both and does not need this step.
set -eu
cd "$(dirname "$0")"

for tool in autoreconf aclocal automake; do
  if ! command -v "$tool" >/dev/null 2>&1; then
    echo "autogen.sh: $tool is missing: install the packages autoconf and automake" >&2
    exit 1
  fi
done

exec autoreconf --force --install
