#!/bin/sh
# Makes this machine rpi1 of the fleet "home": an SSH server, a login with a key, root without a
# password. Rendered from fleet.yaml by `fleet bootstrap` (templates/bootstrap/linux.sh.j2); holds no secret.
#
#   sudo sh rpi1.sh            do it; at any time again, it changes what is not right and nothing else
#   sudo sh rpi1.sh --check    say what it would do, and change nothing
#
# Exit codes: 0 done · 1 something is missing, all of it is listed · 64 wrong usage
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C

name=rpi1
login='admin'
port=22
lan='192.168.50.31' # where fleet.yaml says it is
host_key=/etc/ssh/ssh_host_ed25519_key.pub
keys_fix='see that its directory is no link and can be written to, then run this again'
sudo_fix='see sudo -l, and that /etc/sudoers ends with: @includedir /etc/sudoers.d'
host_key_fix='see that /etc/ssh can be written to: ssh-keygen -A'

dry=     # whether nothing may be changed
due=     # whether something would be
missing= # what is missing, with what to do

say() { printf '%-13s %s\n' "$1" "$2"; } # WORD TEXT
note() { # TEXT REMEDY
    say note "$1"
    printf '%-13s %s\n' '' "$2"
}
lack() { # TEXT REMEDY
    say missing "$1"
    missing="$missing
  $1
      $2"
}
# step WHAT TEST CHANGE REMEDY: how it has to be, the function that tells whether it is, the one that
# sees to it. What a change says of itself is not believed: the test is asked again.
step() {
    if "$2"; then
        say ok "$1"
    elif [ -n "$dry" ]; then
        say 'would change' "$1"
        due=yes
    elif "$3" && "$2"; then
        say changed "$1"
    else
        lack "not so: $1" "$4"
    fi
}
stop_if_missing() { # WORDS
    if [ -n "$missing" ]; then
        printf '\n%s:%s\n' "$1" "$missing" >&2
        exit 1
    fi
}

# -- whether this is the machine

# The other hosts, as `address or name=host`: a machine that is one of them is not this one.
others="192.168.50.10=arch-orchestrator arch-orchestrator=arch-orchestrator 192.168.50.21=macbook1 macbook1=macbook1 192.168.50.22=imac imac=imac 192.168.50.23=macbook2 macbook2=macbook2 192.168.50.32=rpi2 rpi2=rpi2 192.168.50.33=rpi3 rpi3=rpi3 192.168.50.41=windows-desktop windows-desktop=windows-desktop 192.168.50.42=windows-laptop windows-laptop=windows-laptop"
not_another() { # this machine's addresses and its name
    here=" $(addresses | tr '\n' ' ') $(called) "
    for other in $others; do
        case $here in *" ${other%%=*} "*)
            lack "this is ${other##*=}: fleet.yaml knows ${other%%=*} as that host, not as $name" \
                "run ${other##*=}.sh here, or mend the name or address that is wrong"
            return 0 ;;
        esac
    done
}
root() {
    [ "$(id -u)" = 0 ] || lack 'only root may do this' "sudo sh $name.sh, or as root: sh $name.sh"
}
network() {
    if [ -z "$(addresses)" ]; then
        lack 'this machine has no address in a network' "plug in a cable, or join a wireless network: nmtui, raspi-config, iwctl"
    elif [ -n "$lan" ] && [ -z "$(printf %s "$lan" | tr -d '0-9.')" ]; then
        case " $(addresses | tr '\n' ' ')" in *" $lan "*) ;; *)
            note "fleet.yaml says $lan, and this machine has $(addresses | tr '\n' ' ')" \
                'give it that address in the router, or mend addresses.lan in fleet.yaml' ;;
        esac
    fi
}
addresses() { ip -o addr show scope global 2>/dev/null | awk '{ split($4, at, "/"); print at[1] }'; }
called() { uname -n; }
home() { getent passwd "$login" | cut -d : -f 6; }
recognise() {
    if [ "$(uname -s)" != Linux ]; then
        lack "this is $(uname -s); $name is Linux (raspios)" "run this on $name, or mend os in fleet.yaml"
        return 0
    fi
    # shellcheck source=/dev/null
    system=$(. /etc/os-release 2>/dev/null && echo "${ID-}") || system=
    case $system in raspbian | debian) ;; *)
        lack "this system calls itself ${system:-nothing}; $name is raspios" \
            "run this on $name, or mend os in fleet.yaml" ;;
    esac
    machine=$(uname -m)
    [ "$machine" = aarch64 ] ||
        lack "the kernel is made for $machine; $name is aarch64" \
            "install the 64-bit image of its system"
    # A 32-bit system may run on a 64-bit kernel: what it is made of counts, too.
    userland=$(dpkg --print-architecture 2>/dev/null) || userland=none
    [ "$userland" = arm64 ] ||
        lack "its programs are made for $userland; $name needs arm64" 'install the 64-bit image of its system'
    case $(uname -r) in *[Mm]icrosoft*)
        lack "this is the WSL of a Windows PC; $name is a machine of its own" "run this on $name itself" ;;
    esac
    [ -d /run/systemd/system ] ||
        lack 'systemd does not run here' 'agentfleet works on systems that systemd has started'
    root
    not_another
    network
}

# -- the login and its keys

keys() {
    cat <<'KEYS'
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFnZW50ZmxlZXQgZ29sZGVuIG9wZXJhdG9yIGtleSEh alice@laptop
KEYS
}
has_login() { id -u "$login" >/dev/null 2>&1; }
mine() { # PATH MODE: whether it is the login's, with that mode
    [ -n "$(find "$1" -prune -user "$login" -perm "$2" 2>/dev/null)" ]
}
takes_key() { # TYPE BASE64
    grep -q "^[^#]*$1 $2" "$(home)/.ssh/authorized_keys" 2>/dev/null
}
has_keys() {
    has_login && mine "$(home)/.ssh" 700 && mine "$(home)/.ssh/authorized_keys" 600 &&
        keys | while read -r type key _; do takes_key "$type" "$key" || exit 1; done
}
add_keys() { # beside those that are there: nobody is locked out
    folder=$(home)/.ssh
    file=$folder/authorized_keys
    [ -d "$(home)" ] && [ ! -L "$folder" ] && [ ! -L "$file" ] && mkdir -p "$folder" && touch "$file" || return 1
    [ -z "$(tail -c 1 "$file")" ] || echo >>"$file"
    keys | while read -r type key comment; do
        takes_key "$type" "$key" || printf '%s %s %s\n' "$type" "$key" "$comment" >>"$file"
    done
    chown "$login" "$folder" "$file" && chmod 700 "$folder" && chmod 600 "$file"
}
# sshd takes no key from a home that others may write to.
private_home() {
    [ -z "$(find "$(home)" -prune '(' -perm -020 -o -perm -002 ')' 2>/dev/null)" ] ||
        lack "others may write to $(home), so sshd takes no key from there" "chmod go-w $(home)"
}
# -k: what somebody has typed a minute ago does not count.
becomes_root() { has_login && sudo -n -u "$login" sudo -k -n true 2>/dev/null; }
let_become_root() {
    rule=/etc/sudoers.d/agentfleet-admin
    staged=/etc/sudoers.d/.agentfleet-admin.new # sudo passes over names with a dot
    (umask 337 && rm -f "$staged" && echo "$login ALL=(ALL) NOPASSWD: ALL" >"$staged") &&
        visudo -cqf "$staged" >/dev/null && mv "$staged" "$rule"
}

# -- its SSH server

has_host_key() { [ -s "$host_key" ]; }
make_host_keys() { ssh-keygen -A >/dev/null; }
answers() { ssh-keyscan -T 5 -p "$port" -t ed25519 127.0.0.1 2>/dev/null | grep -q ssh-ed25519; }
answers_soon() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        if answers; then return 0; fi
        sleep 1
    done
    return 1
}
# What sshd would say to the login, whatever file it has that from.
lets_in() {
    said=$(sshd -T -C "user=$login,host=localhost,addr=127.0.0.1" 2>/dev/null) || return 0
    case $said in *'pubkeyauthentication no'*)
        lack 'sshd takes no keys' 'PubkeyAuthentication yes in /etc/ssh/sshd_config, or a file beside it' ;;
    esac
    allowed=$(printf '%s\n' "$said" | sed -n 's/^allowusers //p')
    [ -z "$allowed" ] || printf '%s\n' "$allowed" | grep -q "^$login\(@\|\$\)" ||
        lack "sshd lets only these in: $(printf %s "$allowed" | tr '\n' ' ')" \
            "add $login to AllowUsers in /etc/ssh/sshd_config, or a file beside it"
}
# -- what has to be installed

lacking() { # packages; those that are there are not upgraded
    command -v sshd >/dev/null || echo openssh-server
    command -v sudo >/dev/null || echo sudo
}
has_programs() { [ -z "$(lacking)" ]; }
# Fetched before anything is changed: without a network nothing is.
prepare() {
    if [ -n "$dry" ] || has_programs; then return 0; fi
    # shellcheck disable=SC2046 # a word a package
    { packages update && packages --yes --no-remove --download-only install $(lacking); } >&2 ||
        lack "cannot be downloaded: $(lacking | tr '\n' ' ')(apt-get says why above)" \
            'see that this machine reaches the internet, and its package sources: apt-get update'
}
packages() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }
# shellcheck disable=SC2046 # a word a package
install_programs() { packages --yes --no-remove install $(lacking) >&2; }

# -- what has to be running

# '*' is no password, and unlike '!' no lock, which sshd would take for one.
make_login() { useradd --create-home --shell /bin/bash --password '*' "$login"; }
unit=ssh.service
# Ubuntu starts it by a socket.
starts() { systemctl -q is-enabled "$unit" 2>/dev/null || systemctl -q is-enabled ssh.socket 2>/dev/null; }
make_start() { systemctl -q enable "$unit"; }
listens() { # sshd says nothing without that directory, which is in memory and comes with its start
    mkdir -p /run/sshd && sshd -T 2>/dev/null | grep -qx "port $port"
}
# A file of its own, before the system's; refused where sshd would not start with it.
set_port() {
    file=/etc/ssh/sshd_config.d/05-agentfleet-port.conf
    mkdir -p /etc/ssh/sshd_config.d && printf '# By %s.sh: the port of fleet.yaml\nPort %s\n' "$name" "$port" >"$file" &&
        { sshd -t || { rm -f "$file"; return 1; }; }
}
told= # whether sshd has to read its configuration again
listen() { set_port && told=yes; }
start_server() {
    systemctl daemon-reload
    if systemctl -q is-enabled ssh.socket 2>/dev/null; then
        systemctl restart ssh.socket
        systemctl try-restart "$unit"
    else
        systemctl restart "$unit"
    fi
    answers_soon
}
# Its configuration may have changed under it; connections that are open stay open.
serves() { [ -z "$told" ] && answers; }
serve() { told=; start_server; }
closed_by_ufw() {
    command -v ufw >/dev/null && ufw status 2>/dev/null | grep -q '^Status: active' || return 0
    rules="$port|$port/tcp"
    [ "$port" != 22 ] || rules="$rules|OpenSSH|SSH"
    ufw status | grep -Eq "^($rules) .*(ALLOW|LIMIT)" ||
        lack "ufw lets nobody in on port $port" "ufw allow $port/tcp"
}
arrange() {
    step 'sshd and sudo are installed' has_programs install_programs 'the package manager says above why not'
    step "there is a login $login" has_login make_login "useradd says above why not"
    step "$login takes the keys of the fleet's operators" has_keys add_keys "$keys_fix"
    private_home
    step "$login becomes root without a password" becomes_root let_become_root "$sudo_fix"
    step 'there is a host key' has_host_key make_host_keys "$host_key_fix"
    step "sshd listens on port $port" listens listen \
        'see sshd -t; /etc/ssh/sshd_config has to begin with: Include /etc/ssh/sshd_config.d/*.conf'
    step "$unit starts with the system" starts make_start "systemctl status $unit"
    step "an SSH server answers on port $port" serves serve "journalctl -u $unit"
    lets_in
    closed_by_ufw
}

# All of it is read before any of it runs: half a file does nothing.
main() {
    case $#:${1-} in
    0:) ;;
    1:--check) dry=yes ;;
    *)
        echo "usage: sudo sh $name.sh [--check]" >&2
        exit 64
        ;;
    esac
    recognise
    stop_if_missing 'Nothing was changed. Missing'
    prepare
    stop_if_missing 'Nothing was changed. Missing'
    arrange
    stop_if_missing 'Missing, see to it and run this again'
    [ -z "$dry" ] || printf '\nNothing was changed.\n'
    [ -z "$due" ] || exit 0
    printf '\n%s is ready for the workstation, where this is typed:\n\n  fleet trust %s --fingerprint %s\n' \
        "$name" "$name" "$(ssh-keygen -l -f "$host_key" | awk '{ print $2 }')"
}

main "$@"
exit
