# shellcheck shell=sh disable=SC2154 # sourced by build.sh
# systemd under qemu-user: the kernel refuses to mount credentials for these units under emulation,
# so each gets an empty one of its own, else the host stays "degraded".
for unit in systemd-sysctl systemd-sysusers systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-tmpfiles-clean; do
  mkdir -p "$ROOT/etc/systemd/system/$unit.service.d"
  printf '[Service]\nLoadCredential=\nSetCredential=\n' > "$ROOT/etc/systemd/system/$unit.service.d/lab.conf"
done
