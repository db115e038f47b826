# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# What every host has, whatever it plays: the user of the fleet, sshd, a quiet systemd.
chroot "$ROOT" useradd --create-home --shell /bin/bash --uid 1000 admin
chroot "$ROOT" passwd -l root > /dev/null
printf 'admin ALL=(ALL) NOPASSWD: ALL\n' > "$ROOT/etc/sudoers.d/admin"
chmod 440 "$ROOT/etc/sudoers.d/admin"
rm -f "$ROOT"/etc/ssh/ssh_host_* "$ROOT/etc/resolv.conf" "$ROOT/etc/hostname"
: > "$ROOT/etc/resolv.conf"
: > "$ROOT/etc/machine-id"
# dbus made one when it was installed; systemd would take that for every host.
mkdir -p "$ROOT/var/lib/dbus"
ln -sf /etc/machine-id "$ROOT/var/lib/dbus/machine-id"
printf 'LANG=C.UTF-8\n' > "$ROOT/etc/default/locale"
mkdir -p "$ROOT/var/lib/systemd/linger" "$ROOT/var/log/journal"

# Packages come from a folder of the image: the hosts have no network but the fleet's own.
rm -rf "$ROOT/etc/apt/sources.list" "$ROOT/etc/apt/sources.list.d"
mkdir -p "$ROOT/etc/apt/sources.list.d"
cat > "$ROOT/etc/apt/apt.conf.d/90lab" <<'CONF'
// Written by the lab: its hosts are thrown away, so nothing is synced to disk, and the machine
// that carries them pays for no translation or package cache.
Acquire::Languages "none";
Dpkg::Options { "--force-unsafe-io"; };
CONF

# Timers that would fetch from the internet, and units that make no sense in a container.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    e2scrub_reap.service systemd-firstboot.service getty@tty1.service console-getty.service; do
  ln -sf /dev/null "$ROOT/etc/systemd/system/$unit"
done
mkdir -p "$ROOT/etc/systemd/journald.conf.d" "$ROOT/etc/systemd/system.conf.d"
printf '[Journal]\nSystemMaxUse=32M\n' > "$ROOT/etc/systemd/journald.conf.d/lab.conf"
ln -sf /lib/systemd/system/multi-user.target "$ROOT/etc/systemd/system/default.target"
