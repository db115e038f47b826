#!/bin/bash
# Turn a Debian root file system into a WSL stand-in. Runs on the builder, without network, twice too.
# usage: install.sh ROOT HOSTNAME
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=${1:?usage: install.sh ROOT HOSTNAME}
root=${root%/}
: "${2:?HOSTNAME is missing}"
windows=$root/mnt/c/Windows/System32
profile=$root/mnt/c/Users/owner

launcher() { # PATH MODULE FUNCTION
  mkdir -p "$root/${1%/*}"
  cat >"$root/$1" <<EOF
#!/usr/bin/python3 -IS
import sys

sys.path.insert(0, "/opt/standin/lib")
from windows.$2 import $3

sys.exit($3(sys.argv[1:]))
EOF
  chmod 755 "$root/$1"
}

cp -R --no-preserve=ownership "$here/root/." "$root/"
mkdir -p "$root/opt/standin/lib" "$windows" "$profile"
rm -rf "$root/opt/standin/lib/windows"
cp -R "$here/windows" "$root/opt/standin/lib/windows"
launcher mnt/c/Windows/System32/WindowsPowerShell/v1.0/powershell.exe powershell main
launcher mnt/c/Windows/System32/wsl.exe wsl wsl_exe
launcher 'mnt/c/Program Files/Tailscale/tailscale.exe' tailscale main
launcher usr/bin/wslinfo wsl wslinfo
launcher usr/bin/wslpath wsl wslpath
chroot "$root" /usr/bin/python3 -IS -m compileall -q /opt/standin/lib/windows

[ -e "$profile/.wslconfig" ] || printf '[wsl2]\r\nnetworkingMode=mirrored\r\n' >"$profile/.wslconfig"
install -d -m 1777 "$root/var/lib/standin" # Windows programs run as the Windows user, whoever asks
install -D -m 755 "$here/../tailscale/tailscale" "$root/opt/standin/libexec/tailscale"
install -D -m 755 "$here/../tailscale/tailscaled" "$root/opt/standin/libexec/tailscale-service"
mkdir -p "$root/mnt/c/ProgramData/Tailscale"
for file in powershell.log wsl.log windows.json; do
  [ -e "$root/var/lib/standin/$file" ] || install -m 666 /dev/null "$root/var/lib/standin/$file"
done
grep -qs '^WSL_DISTRO_NAME=' "$root/etc/environment" ||
  echo 'WSL_DISTRO_NAME=Debian' >>"$root/etc/environment"
units=$root/etc/systemd/system
mkdir -p "$units"/{sockets,multi-user}.target.wants
ln -sfn ../standin-interop.socket "$units/sockets.target.wants/standin-interop.socket"
ln -sfn ../standin-windows-tailscale.service \
  "$units/multi-user.target.wants/standin-windows-tailscale.service"
ln -sfn ../standin-stale-interop.service \
  "$units/multi-user.target.wants/standin-stale-interop.service"
