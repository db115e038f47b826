#!/bin/bash
# Turn a Debian root file system into a Mac stand-in. Runs on the builder, without network, twice too.
# usage: install.sh ROOT HOSTNAME brew|port|none
set -euo pipefail
shopt -s nullglob

here=$(cd "$(dirname "$0")" && pwd)
root=${1:?usage: install.sh ROOT HOSTNAME brew|port|none}
root=${root%/}
name=${2:?HOSTNAME is missing}
variant=${3:?VARIANT is missing: brew, port or none}
hidden=$root/opt/standin/libexec
libs=$root/usr/lib/x86_64-linux-gnu
case $variant in brew | port | none) ;; *) echo "no such variant: $variant" >&2 && exit 64 ;; esac
[ -x "$root/usr/bin/rg" ] || [ -d "$root/opt/standin" ] ||
  { echo "$root: the packages of packages.txt are missing" >&2 && exit 1; }

# -- packages for brew and port ---------------------------------------------------------------
declare -A version
while read -r package text; do version[$package]=$text; done < <(awk '
  $1 == "Package:" { package = $2 }
  $1 == "Version:" { sub(/^[0-9]+:/, "", $2); sub(/[-+~].*/, "", $2); print package, $2 }
' "$root/var/lib/dpkg/status")

# keg NAME DEBIAN-PACKAGE: $keg becomes its directory; brew and port call some packages differently
keg() {
  case $variant in brew) store=cellar ;; *) store=ports ;; esac
  keg=$root/opt/standin/$store/$1/${version[$2]}
  mkdir -p "$keg/bin"
}
# take FILE... DIRECTORY: move files into the keg, once
take() {
  local target=$keg/${*: -1} file
  mkdir -p "$target"
  for file in "${@:1:$#-1}"; do
    if [ -e "$root/$file" ] || [ -L "$root/$file" ]; then mv "$root/$file" "$target/"; fi
  done
}
# share PROGRAM: a program that the Mac has too
share() { [ -e "$keg/bin/$1" ] || ln "$root/usr/bin/$1" "$keg/bin/$1"; }
# library NAME DEBIAN-PACKAGE HEADERS PKG-CONFIG LIBRARY: headers and link-time files
library() {
  keg "$1" "$2"
  rmdir "$keg/bin" 2>/dev/null || true
  local header
  for header in $3; do take "usr/include/$header" include; done
  take "usr/lib/x86_64-linux-gnu/lib$5.a" lib
  mkdir -p "$keg/lib/pkgconfig"
  if [ -e "$libs/pkgconfig/$4.pc" ]; then
    sed -e 's#^prefix=.*#prefix=/opt/local#' -e 's#^libdir=.*#libdir=/opt/local/lib#' \
      "$libs/pkgconfig/$4.pc" >"$keg/lib/pkgconfig/$4.pc"
    rm "$libs/pkgconfig/$4.pc" "$libs/lib$5.so"
    local real=("$libs/lib$5.so."*.*)
    ln -sf "/usr/lib/x86_64-linux-gnu/${real[0]##*/}" "$keg/lib/lib$5.so"
  fi
}

keg git git && share git
keg curl curl && share curl
keg ripgrep ripgrep && take usr/bin/rg bin
keg ccache ccache && take usr/bin/ccache bin
keg jq jq && take usr/bin/jq bin
version[tailscale]=$(sed -n 's/^  -version.*echo \([0-9.]*\).*/\1/p' "$here/../tailscale/tailscaled")
keg tailscale tailscale && cp "$here"/../tailscale/tailscale{,d} "$keg/bin/"
if [ "$variant" = port ]; then lzo=lzo2; else lzo=lzo; fi
library "$lzo" liblzo2-dev lzo lzo2 lzo2
library libarchive libarchive-dev 'archive.h archive_entry.h' libarchive archive
library zstd libzstd-dev 'zstd.h zstd_errors.h zdict.h' libzstd zstd
take usr/bin/{zstd,zstdcat,unzstd,zstdmt,zstdgrep,zstdless} bin

# compiler MAJOR: clang under its major. The libraries stay where the system has them.
compiler() {
  local from=/usr/lib/llvm-$1
  if [ "$variant" = brew ]; then keg "llvm@$1" "clang-$1"; bin=$keg/bin
  else keg "clang-$1" "clang-$1"; bin=$keg/libexec/llvm-$1/bin; fi
  mkdir -p "$bin"
  [ ! -e "$root$from/bin/clang" ] || cp -p "$root$from/bin/clang" "$bin/"
  ln -sfn "$from/lib" "${bin%bin}lib"
  local program
  for program in clang++ clang-cpp; do ln -sf clang "$bin/$program"; done
  [ "$variant" = brew ] ||
    for program in clang clang++; do ln -sf "../libexec/llvm-$1/bin/$program" "$keg/bin/$program-mp-$1"; done
}
compiler 14
compiler 16
rm -rf "$root/usr/lib/llvm-16/bin"

version[icecream]=${version[icecc]%.0}
if [ "$variant" = brew ]; then keg icecream icecream; else keg=$root/opt/standin/icecream; fi
take usr/bin/{icecc,icecc-create-env,icerun} bin
take usr/sbin/{iceccd,icecc-scheduler} sbin
mkdir -p "$keg/libexec/icecc/bin"
for compiler in cc c++ gcc g++ clang clang++; do
  ln -sf ../../../bin/icecc "$keg/libexec/icecc/bin/$compiler"
done
rm -rf "$root"/usr/lib/icecc "$root"/etc/{icecc,default/icecc} "$root"/var/cache/icecc \
  "$root"/usr/bin/icecc-test-env "$root"/var/lib/icecc

autotools() { # Debian's scripts name each other by path
  local program
  keg autoconf autoconf
  for program in autoconf autoheader autom4te autoreconf autoscan autoupdate ifnames; do
    [ ! -e "$root/usr/bin/$program" ] ||
      sed -i -E "s#/usr/bin/(auto(conf|header|m4te))#/opt/local/bin/\1#g" "$root/usr/bin/$program"
    take "usr/bin/$program" bin
  done
  keg automake automake
  take usr/bin/automake-1.16 usr/bin/aclocal-1.16 bin
  rm -f "$root"/usr/bin/{automake,aclocal}
  ln -sf automake-1.16 "$keg/bin/automake"
  ln -sf aclocal-1.16 "$keg/bin/aclocal"
  keg libtool libtool
  take usr/bin/libtoolize bin
  [ ! -e "$keg/bin/libtoolize" ] || mv "$keg/bin/libtoolize" "$keg/bin/glibtoolize"
  keg pkgconfig pkgconf
  rm -f "$root"/usr/bin/*pkg-config
  take usr/bin/pkgconf libexec
  rm -f "$root"/usr/bin/x86_64-linux-gnu-pkgconf
  cp "$here/pkg-config" "$keg/bin/pkg-config"
  version[docbook2X]=0.8.8
  keg docbook2X docbook2X
  mkdir -p "$keg/share/doc/docbook2X" && rmdir "$keg/bin" 2>/dev/null || true
  echo 'A name only: manual pages are not built here.' >"$keg/share/doc/docbook2X/README"
}
autotools

# -- what a Mac does not have -------------------------------------------------------------------
mkdir -p "$hidden" "$root/opt/standin/bin" "$root/opt/standin/etc"
if [ ! -e "$root/opt/standin/bin/python3" ]; then
  mv "$root/usr/bin/python3.11" "$root/opt/standin/bin/python3"
fi
hide() { # files|links: first the programs, then their second names, such as /usr/sbin/ip
  local pattern file base
  while read -r pattern; do
    # shellcheck disable=SC2231 # patterns are meant to match
    for file in "$root"/usr/bin/$pattern "$root"/usr/sbin/$pattern; do
      base=${file##*/}
      case $base in launchctl | pfctl | sysadminctl) continue ;; esac
      if [ -L "$file" ]; then
        [ "$1" = links ] || continue
        if [ -e "$hidden/$base" ] || [ -L "$hidden/$base" ]; then rm "$file"; else mv "$file" "$hidden/"; fi
      elif [ -e "$file" ] && [ ! -e "$hidden/$base" ]; then
        mv "$file" "$hidden/"
      fi
    done
  done < <(grep -v '^#' "$here/hide.txt" | tr ' ' '\n')
}
hide files
hide links
rm -f "$root"/usr/sbin/{poweroff,runlevel,telinit} \
  "$root"/usr/bin/{dnsdomainname,domainname,nisdomainname,ypdomainname}
for file in reboot halt shutdown; do [ ! -L "$root/usr/sbin/$file" ] || rm "$root/usr/sbin/$file"; done
rm -rf "$root"/etc/{init.d,rc?.d,apt,debian_version,update-motd.d,motd,issue,os-release,lsb-release}
[ ! -e "$root/usr/lib/os-release" ] || mv "$root/usr/lib/os-release" "$root/opt/standin/etc/"

# -- what a Mac has -----------------------------------------------------------------------------
cp -R --no-preserve=ownership "$here/root/." "$root/"
mkdir -p "$root/opt/standin/lib"
rm -rf "$root/opt/standin/lib/darwin"
cp -R "$here/darwin" "$root/opt/standin/lib/darwin"
launcher() { # PATH MODULE [ARGUMENT]
  local insert=
  [ -z "${3-}" ] || insert="sys.argv.insert(1, '$3')"
  mkdir -p "$root/${1%/*}"
  cat >"$root/$1" <<EOF
#!/opt/standin/bin/python3 -IS
import sys

sys.path.insert(0, "/opt/standin/lib")
$insert
from darwin.common import launch

launch("$2")
EOF
  chmod 755 "$root/$1"
}
while read -r path module argument; do
  launcher "$path" "$module" "$argument"
done < <(grep -v '^#' "$here/tools.txt")
chroot "$root" /opt/standin/bin/python3 -IS -m compileall -q /opt/standin/lib/darwin
for guarded in cp mv ln install date find sed mkdir chmod chown touch readlink mktemp du df ps \
  xargs hostname; do
  cp "$hidden/guard" "$root/usr/bin/$guarded"
done
cp --remove-destination "$root/usr/bin/bsdtar" "$root/usr/bin/tar"
for compiler in cc gcc clang-cc; do ln -sfn clang "$root/usr/bin/$compiler"; done
for compiler in c++ g++; do ln -sfn clang++ "$root/usr/bin/$compiler"; done
rm "$root/usr/bin/clang-cc"

# -- directories --------------------------------------------------------------------------------
mkdir -p "$root"/Users/Shared "$root"/Applications "$root"/private "$root"/var/{db,empty,log} \
  "$root"/Library/{LaunchDaemons,LaunchAgents,Logs,Preferences,'Application Support'} \
  "$root"/Library/Developer/CommandLineTools/usr "$root"/etc/{newsyslog.d,pf.anchors,paths.d}
for directory in etc var tmp; do ln -sfn "/$directory" "$root/private/$directory"; done
ln -sfn /usr/bin "$root/Library/Developer/CommandLineTools/usr/bin"
: >"$root/etc/pf.anchors/com.apple"
if [ ! -L "$root/home" ]; then
  for home in "$root"/home/*; do mv "$home" "$root/Users/"; done
  rmdir "$root/home"
  ln -s Users "$root/home"
fi
if [ ! -L "$root/root" ]; then
  mv "$root/root" "$root/var/root"
  ln -s var/root "$root/root"
fi

# -- accounts, PATH, sshd -----------------------------------------------------------------------
sed -i -e 's#^root:x:0:0:root:/root:/bin/bash#root:x:0:0:System Administrator:/var/root:/bin/sh#' \
  -e '/^icecc:/d' "$root/etc/passwd"
sed -i -e '/^icecc:/d' "$root/etc/shadow"
sed -i -e 's/^root:x:0:/wheel:x:0:root/' -e '/^staff:x:50:/d' -e 's/^dialout:x:20:/staff:x:20:/' \
  -e '/^icecc:/d' "$root/etc/group"
[ ! -e "$root/etc/gshadow" ] || rm "$root/etc/gshadow"
sed -i -E 's#^(Defaults[[:space:]]+secure_path=).*#\1"/usr/bin:/bin:/usr/sbin:/sbin"#' \
  "$root/etc/sudoers"
grep -q '!fqdn' "$root/etc/sudoers" || # a Mac's sudo looks up no host name
  sed -i '/^Defaults[[:space:]]*env_reset/a Defaults\t!fqdn' "$root/etc/sudoers"
echo 'PATH=/usr/bin:/bin:/usr/sbin:/sbin' >"$root/etc/environment"
units=$root/etc/systemd/system
for unit in ssh.service ssh.socket systemd-sysusers.service systemd-firstboot.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  e2scrub_reap.service iceccd.service icecc-scheduler.service; do
  rm -f "$units"/*.wants/"$unit"
  ln -sfn /dev/null "$units/$unit"
done
rm -f "$units/sshd.service"
mkdir -p "$units"/{sockets,multi-user}.target.wants
ln -sfn ../standin-sshd.socket "$units/sockets.target.wants/standin-sshd.socket"
ln -sfn ../standin-launchd.service "$units/multi-user.target.wants/standin-launchd.service"

# -- this host ----------------------------------------------------------------------------------
case $name in *book*) : >"$root/opt/standin/etc/battery" ;; esac # a laptop, for pmset and sysctl
names=$root/var/db/standin/scutil.json
mkdir -p "${names%/*}"
[ -e "$names" ] || printf '{"ComputerName": "%s", "LocalHostName": "%s"}\n' "$name" "$name" >"$names"
case $variant in
brew)
  mkdir -p "$root"/usr/local/{Cellar,Homebrew/bin,bin,etc,include,lib,opt,sbin,share,var}
  launcher usr/local/Homebrew/bin/brew brew
  ln -sfn ../Homebrew/bin/brew "$root/usr/local/bin/brew"
  ;;
port)
  mkdir -p "$root"/opt/local/{bin,sbin,include,lib/pkgconfig,var/macports}
  launcher opt/local/bin/port port
  ;;
esac
bash "$hidden/adopt-admin" "$root"
