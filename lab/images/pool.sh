# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# The offline repository: real .debs, real apt, no network.
mkdir -p "$ROOT/srv/apt" "$ROOT/etc/apt/sources.list.d"
cp "$INPUTS"/*.deb "$ROOT/srv/apt/"
(
  cd "$ROOT/srv/apt" || exit 1
  dpkg-scanpackages -m . > Packages 2> /dev/null
  # Without a Release file apt tries every compressed form of Packages, several times.
  printf 'Suite: lab\nSHA256:\n %s %s Packages\n' "$(sha256sum Packages | cut -d' ' -f1)" "$(stat -c %s Packages)" > Release
)
printf 'deb [trusted=yes] file:/srv/apt ./\n' > "$ROOT/etc/apt/sources.list.d/lab.list"
# The lists are read once here, so that "apt-get install" works on a host that never ran "update".
mkdir -p "$ROOT/var/lib/apt/lists/partial"
for file in Packages Release; do cp "$ROOT/srv/apt/$file" "$ROOT/var/lib/apt/lists/_srv_apt_._$file"; done
