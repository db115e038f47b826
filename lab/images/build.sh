#!/bin/sh
# Build one image layer. Runs in its own mount and pid namespaces, so that whatever happens to it,
# no mount and no process of it stays behind.
#
# In: LOWERS (overlay list, may be empty) UPPER WORK ROOT ARCH NATIVE_ARCH DEBS (a file: one .deb a
#     line, in apt's order) STEPS (names of scripts in RECIPES, sourced last) INPUTS (a directory for
#     them) TOOLBELT (root of a native image; only for a foreign ARCH)
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
DPKG_UNPACK="dpkg --root=$ROOT --force-architecture --force-depends --force-unsafe-io
  --path-exclude=/usr/share/locale/* --path-exclude=/usr/share/doc/*
  --path-include=/usr/share/doc/*/copyright --log=/dev/null"

if [ -n "$LOWERS" ]; then
  mount -t overlay lab-build -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK,redirect_dir=off,metacopy=off,index=off" "$ROOT"
else
  mount --bind "$UPPER" "$ROOT"
fi

# A root of nothing: unpack every archive once by hand, so that the preinst scripts have tools.
bootstrap() {
  mkdir -p "$ROOT/usr/bin" "$ROOT/usr/sbin" "$ROOT/usr/lib" "$ROOT/usr/lib64"
  for d in bin sbin lib lib64; do ln -s "usr/$d" "$ROOT/$d"; done
  while read -r deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -xk -C "$ROOT" --keep-directory-symlink \
      --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' 2>/dev/null || :
  done < "$DEBS"
  mkdir -p "$ROOT/var/lib/dpkg/info" "$ROOT/var/lib/dpkg/updates"
  touch "$ROOT/var/lib/dpkg/status" "$ROOT/var/lib/dpkg/available"
  if [ "$ARCH" = "$NATIVE_ARCH" ]; then echo "$ARCH" > "$ROOT/var/lib/dpkg/arch"
  else printf '%s\n' "$ARCH" "$NATIVE_ARCH" > "$ROOT/var/lib/dpkg/arch"; fi
  cp "$ROOT/usr/share/base-passwd/passwd.master" "$ROOT/etc/passwd"
  cp "$ROOT/usr/share/base-passwd/group.master" "$ROOT/etc/group"
}

# Under emulation every program of a maintainer script costs half a second. So the foreign root
# borrows the native versions of its programs while packages are configured.
toolbelt() {
  mkdir -p "$ROOT/usr/lib/x86_64-linux-gnu" "$ROOT/usr/lib64"
  mount --bind "$TOOLBELT/usr/lib/x86_64-linux-gnu" "$ROOT/usr/lib/x86_64-linux-gnu"
  mount --bind "$TOOLBELT/usr/lib64" "$ROOT/usr/lib64"
  twins usr/bin usr/sbin | while read -r f; do
    case $f in */systemd* | */systemctl) continue ;; esac
    mount --bind "$TOOLBELT/$f" "$ROOT/$f"
  done
}

# twins DIRECTORY…: the programs there that the foreign root and the native one both have, without
# those that know their architecture.
twins() {
  (cd "$TOOLBELT" && find "$@" -type f) | while read -r f; do
    case ${f##*/} in dpkg | dpkg-query | apt* | ldconfig* | ld.so) continue ;; esac
    if [ -f "$ROOT/$f" ] && [ ! -L "$ROOT/$f" ] && is_elf "$ROOT/$f" && is_elf "$TOOLBELT/$f"; then echo "$f"; fi
  done
}
is_elf() { [ "$(head -c4 "$1" | tail -c3)" = ELF ]; }

mount_api() {
  mkdir -p "$ROOT/proc" "$ROOT/dev" "$ROOT/tmp"
  mount -t proc proc "$ROOT/proc"
  mount -t tmpfs -o mode=755 dev "$ROOT/dev"
  for n in null zero full random urandom tty; do
    touch "$ROOT/dev/$n"; mount --bind "/dev/$n" "$ROOT/dev/$n"
  done
  mkdir "$ROOT/dev/shm" "$ROOT/dev/pts"; ln -s /proc/self/fd "$ROOT/dev/fd"
  ln -s fd/0 "$ROOT/dev/stdin"; ln -s fd/1 "$ROOT/dev/stdout"; ln -s fd/2 "$ROOT/dev/stderr"
}
unmount_toolbelt() {
  grep " $ROOT/usr/" /proc/self/mounts | cut -d' ' -f2 | sort -r | while read -r m; do umount "$m"; done
}

install_packages() {
  # shellcheck disable=SC2086 # a list of options
  xargs -d '\n' $DPKG_UNPACK --unpack < "$DEBS"
  # What the native libraries of a foreign root need must be there before they hide under the belt.
  if [ -n "$TOOLBELT" ]; then toolbelt; fi
  chroot "$ROOT" dpkg --force-unsafe-io --log=/dev/null --configure -a
  if [ -n "$TOOLBELT" ]; then unmount_toolbelt; chroot "$ROOT" ldconfig; fi
}

mkdir -p "$ROOT"
if [ -s "$DEBS" ]; then
  [ -n "$LOWERS" ] || bootstrap
  mount_api
  printf '#!/bin/sh\nexit 101\n' > "$ROOT/usr/sbin/policy-rc.d"; chmod 755 "$ROOT/usr/sbin/policy-rc.d"
  install_packages
  rm -f "$ROOT/usr/sbin/policy-rc.d"
else
  mount_api
fi
# shellcheck source=/dev/null
for step in $STEPS; do . "$RECIPES/$step"; done
rm -rf "$ROOT/tmp/"* "$ROOT/var/log/apt" "$ROOT/var/cache/apt/archives/"*.deb
