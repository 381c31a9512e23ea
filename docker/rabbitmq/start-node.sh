#!/bin/sh
# The first process of a node. The Erlang cookie must be the same on all nodes, and readable by the server's user alone;
# a mounted secret has the owner it has on the host, so it is copied. The image's own entry point does the rest.
set -eu
cookie=/var/lib/rabbitmq/.erlang.cookie
rm -f "$cookie"
(umask 0377 && cat /run/secrets/erlang_cookie > "$cookie")
chown rabbitmq:rabbitmq "$cookie"
exec docker-entrypoint.sh rabbitmq-server
