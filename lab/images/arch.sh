# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# A Debian root becomes a host with pacman and without apt: a local repository made by makepkg and
# repo-add, of real programs and of names for what the image holds already.
repo=$ROOT/srv/repo
work=$ROOT/var/tmp/repo
mkdir -p "$repo" "$work"

# pkgbuild NAME VERSION DESCRIPTION: a recipe in $work/NAME; its files are in $work/NAME/files
pkgbuild() {
  mkdir -p "$work/$1/files"
  cat > "$work/$1/PKGBUILD" <<EOF
pkgname=$1
pkgver=$2
pkgrel=1
pkgdesc='$3'
arch=(x86_64)
options=(!strip !debug !zipman docs emptydirs)
package() { cp -a "\$startdir/files/." "\$pkgdir/"; }
EOF
}

# unpack FOLDER TREE: what the .debs in FOLDER hold, without documents, all below /usr
unpack() {
  for deb in "$1"/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$2"; done
  for dir in doc man locale lintian; do rm -rf "$2/usr/share/$dir"; done
  # Debian still ships some files outside /usr, where pacman would meet a link.
  for dir in bin sbin lib; do
    if [ -d "$2/$dir" ]; then mkdir -p "$2/usr"; cp -a "$2/$dir" "$2/usr/"; rm -rf "${2:?}/$dir"; fi
  done
}

# upstream DEB: the version without what Debian adds to it
upstream() {
  version=$(dpkg-deb -f "$1" Version)
  version=${version#*:}
  echo "${version%%[-+~]*}"
}

# -- real programs: each one's files, without what the image has or an earlier one brought
for folder in "$INPUTS"/repackaged/*; do
  name=${folder##*/}
  pkgbuild "$name" "$(upstream "$folder/$name"_*.deb)" "$name, for the lab from a Debian package"
  tree=$work/$name/files
  unpack "$folder" "$tree"
  (cd "$tree" && find . ! -type d) | while read -r file; do
    if [ -e "$ROOT/$file" ] || [ -e "$work/.taken/$file" ]; then rm "$tree/$file"
    else mkdir -p "$work/.taken/${file%/*}"; : > "$work/.taken/$file"; fi
  done
done
rm -rf "$work/.taken"

# -- clang by its major, as Arch has it beside the plain one: in /usr/lib/llvm16. Its libraries are
#    where any program finds them; the image has those of its own clang already.
for folder in "$INPUTS"/clangs/*; do
  major=${folder##*/}
  name=clang$major
  pkgbuild "$name" "$(upstream "$folder/clang-$major"_*.deb)" "clang $major, for the lab from Debian packages"
  tree=$work/$name/files/usr
  unpack "$folder" "${tree%/usr}"
  mv "$tree/lib/llvm-$major" "$tree/lib/llvm$major"
  rm -rf "$tree/bin" "$tree/include" "$tree/share" "$tree/lib/clang" "$tree/lib/cmake" "$tree/lib/llvm$major/share" \
    "$tree/lib/llvm$major/lib/cmake"
  libraries=lib/x86_64-linux-gnu
  mv "$tree/lib/llvm$major/lib/libclang-cpp.so.$major" "$tree/$libraries/"
  for file in "$tree/$libraries"/*; do
    if [ -e "$ROOT/usr/$libraries/${file##*/}" ]; then rm "$file"; fi
  done
done

# -- names for what the image holds: packed by hand, since makepkg takes a second for each
mkdir "$work/.empty"
while read -r name version; do
  case $name in '' | '#'*) continue ;; esac
  printf '%s = %s\n' pkgname "$name" pkgbase "$name" pkgver "$version-1" \
    pkgdesc "$name: its programs are in the image" builddate 0 size 0 arch any > "$work/.empty/.PKGINFO"
  chroot "$ROOT" bsdtar -C /var/tmp/repo/.empty --zstd -cf "/srv/repo/$name-$version-1-any.pkg.tar.zst" .PKGINFO
done < "$INPUTS/provided.txt"
rm -r "$work/.empty"

install -d "$ROOT/var/lib/pacman" "$ROOT/var/cache/pacman/pkg"
cat > "$ROOT/etc/pacman.conf" <<'CONF'
# Written by the lab: one repository, in a folder of the image.
[options]
Architecture = x86_64
SigLevel = Never
HoldPkg = pacman glibc

[lab]
Server = file:///srv/repo
CONF
if [ -f "$ROOT/etc/makepkg.conf" ]; then
  sed -i -e "s/^PKGEXT=.*/PKGEXT='.pkg.tar.zst'/" -e 's/^COMPRESSZST=.*/COMPRESSZST=(zstd -c -1 -q -)/' "$ROOT/etc/makepkg.conf"
fi
chown -R 1000:1000 "$work" "$repo"
chroot "$ROOT" setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/var/tmp/repo PKGDEST=/srv/repo \
  sh -c 'cd /var/tmp/repo && ls | xargs -P 2 -I {} sh -c "cd {} && makepkg -f --nodeps > log 2>&1 || { cat log; exit 255; }"'
chown -R 0:0 "$repo"
chroot "$ROOT" sh -c 'cd /srv/repo && repo-add -q lab.db.tar.gz ./*.pkg.tar.*'
chroot "$ROOT" pacman -Sy --noconfirm openssh sudo
rm -rf "$work"

# -- clang by its plain names, and who this host says it is
for program in clang clang++ clang-cpp; do ln -sf "../lib/llvm-16/bin/$program" "$ROOT/usr/bin/$program"; done
rm -f "$ROOT/etc/os-release" "$ROOT/usr/lib/os-release" "$ROOT/etc/debian_version"
printf '%s\n' 'NAME="Arch Linux"' 'PRETTY_NAME="Arch Linux (a stand-in: the lab boots Debian with pacman)"' 'ID=arch' \
  'BUILD_ID=rolling' > "$ROOT/usr/lib/os-release"
ln -s ../usr/lib/os-release "$ROOT/etc/os-release"

# -- no apt and no dpkg, as on Arch
rm -rf "$ROOT"/usr/bin/apt "$ROOT"/usr/bin/apt-* "$ROOT"/usr/bin/dpkg* "$ROOT"/usr/sbin/dpkg* \
  "$ROOT"/etc/apt "$ROOT"/var/lib/apt "$ROOT"/var/cache/apt "$ROOT"/usr/lib/apt "$ROOT"/etc/systemd/system/apt-*
rm -f "$ROOT"/usr/lib/systemd/system/apt-* "$ROOT"/usr/lib/systemd/system/dpkg-db-backup.*
