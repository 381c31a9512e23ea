#!/bin/sh
# The first process of rabbit-tls. A private key is readable by its owner on the host alone, so it is copied, into memory, for the
# server's user. The image's own entry point does the rest; the Erlang cookie is one that the server makes up, and nobody else needs it.
set -eu
from=/run/certificates
to=/run/rabbitmq-tls
for file in ca.pem server.pem server.key; do
    [ -r "$from/$file" ] || {
        echo "rabbit-tls has no certificate ($file is missing). Make one, then start it again: ./lab certs && ./lab up --tls" >&2
        exit 1
    }
    (umask 0377 && cat "$from/$file" > "$to/$file")
    chown rabbitmq:rabbitmq "$to/$file"
done
exec docker-entrypoint.sh rabbitmq-server
