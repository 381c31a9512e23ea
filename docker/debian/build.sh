#!/bin/sh
# Builds the images of docker-compose.yml from Debian packages, for machines that reach a Debian mirror and no image registry.
#
#   docker/debian/build.sh RABBITMQ_TAG HAPROXY_TAG PROMETHEUS_TAG ALERTMANAGER_TAG
#
# One root file system, made by mmdebstrap and imported once for each service with its own entry point; the engine stores it once.
# Needs root, mmdebstrap and debian-archive-keyring. The mirror is the machine's own. Takes about a minute, and 1.5 GB of TMPDIR meanwhile.
set -eu
[ $# -eq 4 ] || {
    sed -n '2,7p' "$0" >&2
    exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

# What the images are made from, as a checksum in their labels: rabbitlab.images compares it.
recipe=$(cat "$here"/* | sha256sum | cut -c 1-16)

# Ubuntu has no Debian mirror of its own; mmdebstrap then takes Debian's usual one.
# shellcheck disable=SC2016  # the $( ) are apt's
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' | sed -n 's/^Debian|Debian|\(http.*\)/\1/p' | head -n 1)

# The user id is the official image's, so that a volume can be used with either.
cat > "$scratch/customize" << 'EOF'
#!/bin/sh
set -eu
chroot "$1" sh -eu -c '
    rm -f /var/lib/rabbitmq/.erlang.cookie
    usermod --uid 999 rabbitmq
    chown -R rabbitmq:rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
    chmod 755 /usr/local/bin/docker-entrypoint.sh
    dpkg-query --show --showformat="\${Version}" rabbitmq-server > /version
'
mv "$1/version" "$(dirname "$0")/version"
EOF
chmod 755 "$scratch/customize"

# A testing suite may be between two releases: its date is no reason to refuse it.
mmdebstrap --quiet --variant=minbase \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include=rabbitmq-server,rabbitmqadmin-ng,haproxy,prometheus,prometheus-alertmanager,ca-certificates \
    --customize-hook="copy-in $here/docker-entrypoint.sh /usr/local/bin" \
    --customize-hook="$scratch/customize" \
    testing "$scratch/root.tar" ${mirror:+"$mirror"}

# import_image TAG ENTRYPOINT [OPTION ...]
import_image() {
    tag=$1 entrypoint=$2
    shift 2
    docker import "$@" --change "ENTRYPOINT $entrypoint" --change 'ENV LANG=C.UTF-8' \
        --change "LABEL rabbitmq-by-doing.recipe=$recipe" --change "LABEL rabbitmq-by-doing.version=$(cat "$scratch/version")" \
        "$scratch/root.tar" "$tag"
}
import_image "$1" '["docker-entrypoint.sh"]' --change 'CMD ["rabbitmq-server"]'
import_image "$2" '["haproxy", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]'
import_image "$3" '["prometheus"]'
import_image "$4" '["prometheus-alertmanager"]'

# The images that these replace have lost their names; those that no container uses any more are removed.
docker image prune --force --filter label=rabbitmq-by-doing.recipe > /dev/null
