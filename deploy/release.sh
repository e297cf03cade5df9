#!/bin/sh
# Run before a new version takes over: newest schema, shelves filled once. Safe to run again, and while the old version serves.
set -eu
flask --app wsgi db upgrade
flask --app wsgi seed
case "${ACQUIRER_MOUNT:-}" in
    1 | on | true | yes) flask --app mock_acquirer db upgrade ;;
esac
