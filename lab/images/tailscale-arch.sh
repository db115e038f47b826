# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# The stand-in of tailscale as a pacman package, packed by hand. As Arch's own, it starts nothing.
work=$ROOT/var/tmp/tailscale
cp -a "$INPUTS/tailscale" "$work"
version=$(sed -n '/^  -version/s/.*echo \([0-9.]*\).*/\1/p' "$work/usr/bin/tailscaled")
printf '%s = %s\n' pkgname tailscale pkgbase tailscale pkgver "$version-1" pkgdesc 'stand-in for Tailscale in the lab' \
  builddate 0 size 0 arch any backup etc/default/tailscaled > "$work/.PKGINFO"
chown -R 0:0 "$work"
chroot "$ROOT" sh -c "cd /var/tmp/tailscale && bsdtar --zstd -cf /srv/repo/tailscale-$version-1-any.pkg.tar.zst .PKGINFO *"
chroot "$ROOT" sh -c 'cd /srv/repo && repo-add -q lab.db.tar.gz tailscale-*.pkg.tar.zst'
chroot "$ROOT" pacman -Sy --noconfirm
rm -rf "$work"
