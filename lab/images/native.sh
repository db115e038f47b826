# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# What only costs time under emulation runs natively: Debian's amd64 builds, of the same versions, of
# systemd, sshd, sudo, the shells and what scripts call; Python, which runs stand-ins there; and zstd,
# which packs compilers. Foreign stays what is of use because it is foreign: what tells the
# architecture, what installs packages, what icecream packs (true), compilers, icecream.
native=$INPUTS/tree
mkdir "$native"
for deb in "$INPUTS"/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$native"; done
for libraries in "$TOOLBELT/usr/lib/x86_64-linux-gnu" "$native/usr/lib/x86_64-linux-gnu" "$native/lib/x86_64-linux-gnu"; do
  [ ! -d "$libraries" ] || cp -a --no-clobber "$libraries/." "$ROOT/usr/lib/x86_64-linux-gnu/"
done
cp -a --no-clobber "$TOOLBELT/usr/lib64/." "$ROOT/usr/lib64/"
twins usr/bin usr/sbin usr/lib/systemd usr/lib/openssh usr/lib/dbus-1.0 usr/libexec | while read -r f; do
  case ${f##*/} in dpkg | dpkg-query | uname | arch | true | getconf) continue ;; esac
  cp -a --remove-destination "$TOOLBELT/$f" "$ROOT/$f"
done

# Modules of both architectures lie side by side: their names tell them apart.
cp -a --remove-destination "$native/usr/bin/python3.11" "$ROOT/usr/bin/python3.11"
cp -a "$native"/usr/lib/python3.11/lib-dynload/*x86_64* "$ROOT/usr/lib/python3.11/lib-dynload/"

# It comes with packages that a run installs: whenever it does, it gives way.
chroot "$ROOT" dpkg-divert --local --no-rename --divert /usr/bin/zstd.foreign --add /usr/bin/zstd >/dev/null
cp -a "$native/usr/bin/zstd" "$ROOT/usr/bin/zstd"
