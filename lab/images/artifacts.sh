# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# Pinned sources where the hosts find them without a network.
install -D -m 644 "$INPUTS/icecream-1.4.tar.gz" "$ROOT/srv/artifacts/icecream-1.4.tar.gz"
