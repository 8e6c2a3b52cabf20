#!/bin/sh
# Hands out a token for the example plugin "ticket": 32 hexadecimal digits, the name of a file in the directory
# TICKETS, which the plugin removes when it is used. See plugins-examples/rust/ticket/src/lib.rs.
set -eu
umask 077

token=$(head -c 16 /dev/urandom | od -A n -v -t x1 | tr -d ' \n')
: >"$TICKETS/$token"

# Those that nobody has used are good for a minute at most.
find "$TICKETS" -type f -mmin +1 -delete 2>/dev/null || :

printf 'Content-Type: text/plain\r\nCache-Control: no-store\r\n\r\n%s\n' "$token"
