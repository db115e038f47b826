#!/bin/sh
# One running host of the lab: its file system, its container, and the answer to its reboots.
# usage: host.sh DIRECTORY MACHINE, in a mount namespace of its own; DIRECTORY/boot.env says the rest.
#
# The file system is mounted here and nowhere else, so it vanishes with the last process.
set -u

# All of it is one function: a shell reads its script bit by bit, and this one may be edited while it runs.
main() {
  dir=$1
  machine=$2
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  # shellcheck source=/dev/null
  . "$dir/boot.env" # CGROUPS LOWERS NAMESPACE TAILSCALE HOST CGROUP_V1
  for group in $CGROUPS; do echo 0 > "$group/loop/cgroup.procs" || exit 1; done
  mount -t overlay "$machine" \
    -o "lowerdir=$LOWERS,upperdir=$dir/upper,workdir=$dir/work,redirect_dir=off,metacopy=off,index=off" \
    "$dir/root" || exit 1

  # Under cgroup v1 the container sees the controllers read-only, and no limit of a unit would hold:
  # PID 1 mounts them again, for itself, and becomes systemd.
  init='exec /lib/systemd/systemd'
  if [ -n "$CGROUP_V1" ]; then
    init="for c in memory pids; do umount /sys/fs/cgroup/\$c; mount -t cgroup -o nosuid,nodev,noexec,\$c cgroup /sys/fs/cgroup/\$c; done; $init"
  fi
  # sysctl net.* is the host's own: it has its own network namespace.
  export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network SYSTEMD_NSPAWN_LOCK=0

  tun=
  if [ -e /dev/net/tun ]; then tun=--bind=/dev/net/tun; fi

  n=0
  while :; do
    n=$((n + 1))
    (
      for group in $CGROUPS; do
        mkdir -p "$group/boot.$n" && echo 0 > "$group/boot.$n/cgroup.procs" || exit 1
      done
      # shellcheck disable=SC2086 # no tun, no argument
      exec systemd-nspawn --quiet --register=no --keep-unit --machine="$machine" --hostname="$HOST" \
        --directory="$dir/root" --network-namespace-path="/run/netns/$NAMESPACE" \
        --capability=CAP_NET_ADMIN --resolv-conf=off --timezone=off --link-journal=no \
        --bind="$TAILSCALE:/run/standin-tailscale" \
        --console=pipe --kill-signal=SIGRTMIN+3 $tun /bin/sh -c "$init"
    )
    code=$?
    for group in $CGROUPS; do find "$group/boot.$n" -depth -type d -exec rmdir {} \; 2> /dev/null; done
    echo "-- the container ended with code $code"
    [ "$code" = 133 ] || break # 133: the host rebooted itself
  done
}

main "$@"; exit
