#!/bin/sh
# Builds the images of docker-compose.yml from Debian packages, for machines that reach a Debian mirror and no image registry.
#
#   docker/debian/build.sh RABBITMQ_TAG HAPROXY_TAG
#
# One root file system, made by mmdebstrap and imported once for each service with its own entry point.
# The mirror is the machine's own. Takes about 40 s.
set -eu
[ $# -eq 2 ] || { sed -n '2,7p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# The user id is the official image's, so that a volume can be used with either.
cat > "$scratch/customize" <<'EOF'
#!/bin/sh
set -eu
chroot "$1" sh -eu -c '
    rm -f /var/lib/rabbitmq/.erlang.cookie
    usermod --uid 999 rabbitmq
    chown -R rabbitmq:rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
    chmod 755 /usr/local/bin/docker-entrypoint.sh
'
EOF
chmod 755 "$scratch/customize"

# A testing suite may be between two releases: its date is no reason to refuse it.
mmdebstrap --quiet --variant=minbase \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include=rabbitmq-server,rabbitmqadmin-ng,haproxy,ca-certificates \
    --customize-hook="copy-in $here/docker-entrypoint.sh /usr/local/bin" \
    --customize-hook="$scratch/customize" \
    testing "$scratch/root.tar"

docker import --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["rabbitmq-server"]' \
    --change 'ENV LANG=C.UTF-8' "$scratch/root.tar" "$1"
docker import --change 'ENTRYPOINT ["haproxy", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]' \
    --change 'ENV LANG=C.UTF-8' "$scratch/root.tar" "$2"
