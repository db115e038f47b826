# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# What only costs time under emulation runs natively: Debian's amd64 builds, of the same versions, of
# systemd, sshd, sudo, the shells and what scripts call. Foreign stays what is of use because it is
# foreign: what tells the architecture, what installs packages, what icecream packs (true), and all
# that is not in the base image: compilers, Python, icecream, agents.
cp -a --no-clobber "$TOOLBELT/usr/lib/x86_64-linux-gnu/." "$ROOT/usr/lib/x86_64-linux-gnu/"
cp -a --no-clobber "$TOOLBELT/usr/lib64/." "$ROOT/usr/lib64/"
twins usr/bin usr/sbin usr/lib/systemd usr/lib/openssh usr/lib/dbus-1.0 usr/libexec | while read -r f; do
  case ${f##*/} in dpkg* | uname | arch | true | getconf) continue ;; esac
  cp -a --remove-destination "$TOOLBELT/$f" "$ROOT/$f"
done
