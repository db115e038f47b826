# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# What only costs time under emulation runs natively: Debian's amd64 builds, of the same versions, of
# systemd, sshd, sudo, the shells and what scripts call. Foreign stays what is of use because it is
# foreign: what tells the architecture, what installs packages, what icecream packs (true), and all
# that is not in the base image: compilers, Python, icecream, agents.
cp -a --no-clobber "$TOOLBELT/usr/lib/x86_64-linux-gnu/." "$ROOT/usr/lib/x86_64-linux-gnu/"
cp -a --no-clobber "$TOOLBELT/usr/lib64/." "$ROOT/usr/lib64/"
(cd "$TOOLBELT" && find usr/bin usr/sbin usr/lib/systemd usr/lib/openssh usr/lib/dbus-1.0 usr/libexec -type f) | while read -r f; do
  case ${f##*/} in dpkg* | apt* | ldconfig* | ld.so | uname | arch | true | getconf) continue ;; esac
  if [ -f "$ROOT/$f" ] && [ ! -L "$ROOT/$f" ] && is_elf "$TOOLBELT/$f"; then
    cp -a --remove-destination "$TOOLBELT/$f" "$ROOT/$f"
  fi
done
