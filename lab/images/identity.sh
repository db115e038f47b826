#!/bin/sh
# Make one host out of its image: name, keys, what a stand-in adds. Runs once for a fresh host, in
# namespaces of its own.
#
# In: LOWERS UPPER WORK ROOT HOST PORT OS KIND VARIANT STANDIN (install.sh, or empty) PUBLIC_KEY HOSTS
set -eu
mount -t overlay lab-identity -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK,redirect_dir=off,metacopy=off,index=off" "$ROOT"

echo "$HOST" > "$ROOT/etc/hostname"
cp "$HOSTS" "$ROOT/etc/hosts"
: > "$ROOT/etc/machine-id"
rm -f "$ROOT"/etc/ssh/ssh_host_*
ssh-keygen -q -t ed25519 -N '' -C "root@$HOST" -f "$ROOT/etc/ssh/ssh_host_ed25519_key"
mkdir -p "$ROOT/etc/ssh/sshd_config.d"
printf 'HostKey /etc/ssh/ssh_host_ed25519_key\nPort %s\n' "$PORT" > "$ROOT/etc/ssh/sshd_config.d/00-lab.conf"
install -d -m 700 -o 1000 -g 1000 "$ROOT/home/admin/.ssh"
install -m 600 -o 1000 -g 1000 "$PUBLIC_KEY" "$ROOT/home/admin/.ssh/authorized_keys"

case $OS in
  raspios) echo 'Raspberry Pi reference (a stand-in: the lab boots plain Debian)' > "$ROOT/etc/rpi-issue" ;;
  ubuntu) rm -f "$ROOT/etc/os-release"
    printf '%s\n' 'PRETTY_NAME="Ubuntu (a stand-in: the lab boots Debian)"' 'NAME="Ubuntu"' \
      'VERSION_ID="24.04"' 'VERSION_CODENAME=noble' 'ID=ubuntu' 'ID_LIKE=debian' > "$ROOT/etc/os-release" ;;
esac
if [ -n "$STANDIN" ]; then
  # shellcheck disable=SC2086 # no variant, no argument
  bash "$STANDIN" "$ROOT" "$HOST" $VARIANT
fi
