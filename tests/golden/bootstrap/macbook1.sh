#!/bin/sh
# Makes this machine macbook1 of the fleet "home": an SSH server, a login with a key, root without a
# password. Rendered from fleet.yaml by `fleet bootstrap` (templates/bootstrap/macos.sh.j2); holds no secret.
#
#   sudo sh macbook1.sh            do it; at any time again, it changes what is not right and nothing else
#   sudo sh macbook1.sh --check    say what it would do, and change nothing
#
# Exit codes: 0 done · 1 something is missing, all of it is listed · 64 wrong usage
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C

name=macbook1
login='admin'
port=22
lan='192.168.50.21' # where fleet.yaml says it is
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
others="192.168.50.10=arch-orchestrator arch-orchestrator=arch-orchestrator 192.168.50.22=imac imac=imac 192.168.50.23=macbook2 macbook2=macbook2 192.168.50.31=rpi1 rpi1=rpi1 192.168.50.32=rpi2 rpi2=rpi2 192.168.50.33=rpi3 rpi3=rpi3 192.168.50.41=windows-desktop windows-desktop=windows-desktop 192.168.50.42=windows-laptop windows-laptop=windows-laptop"
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
        lack 'this machine has no address in a network' "plug in a cable, or join a wireless network: System Settings, Wi-Fi"
    elif [ -n "$lan" ] && [ -z "$(printf %s "$lan" | tr -d '0-9.')" ]; then
        case " $(addresses | tr '\n' ' ')" in *" $lan "*) ;; *)
            note "fleet.yaml says $lan, and this machine has $(addresses | tr '\n' ' ')" \
                'give it that address in the router, or mend addresses.lan in fleet.yaml' ;;
        esac
    fi
}
addresses() { ifconfig | awk '$1 == "inet" && $2 !~ /^(127|169\.254)\./ { print $2 }'; }
called() { scutil --get LocalHostName 2>/dev/null || uname -n; }
home() { dscl . -read "/Users/$login" NFSHomeDirectory 2>/dev/null | awk '{ print $2 }'; }
recognise() {
    if [ "$(uname -s)" != Darwin ]; then
        lack "this is $(uname -s); $name is a Mac" "run this on $name, or mend os in fleet.yaml"
        return 0
    fi
    # Under Rosetta `uname -m` would say what the program is made for, not the Mac.
    if [ "$(uname -m)" != x86_64 ] || [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then
        lack "this Mac has Apple's processor; $name is x86_64" "run this on $name, or mend the entry in fleet.yaml"
    fi
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
# -- what Apple brings

prepare() { :; }
has_tools() { xcode-select -p >/dev/null 2>&1 && xcrun --find clang >/dev/null 2>&1; }
# With this file there, softwareupdate lists the tools without Xcode; no window asks anybody.
install_tools() {
    mark=/tmp/.com.apple.dt.CommandLineTools.installondemand.in-progress
    touch "$mark"
    label=$(softwareupdate --list 2>/dev/null | sed -n 's/^ *\* Label: \(Command Line Tools.*\)$/\1/p' | tail -n 1)
    [ -z "$label" ] || softwareupdate --install "$label" >&2 || true
    rm -f "$mark"
    [ -n "$label" ]
}
# No password: nobody logs in at the screen, and over SSH with a key alone.
make_login() {
    number=$(dscl . -list /Users UniqueID | awk '$2 > top { top = $2 } END { print (top < 501 ? 501 : top + 1) }')
    record=/Users/$login
    dscl . -create "$record" && dscl . -create "$record" UniqueID "$number" &&
        dscl . -create "$record" PrimaryGroupID 20 && dscl . -create "$record" RealName "$login" &&
        dscl . -create "$record" NFSHomeDirectory "/Users/$login" &&
        dscl . -create "$record" UserShell /bin/zsh && dscl . -create "$record" Password '*' &&
        mkdir -p "/Users/$login" && chown "$login:20" "/Users/$login" &&
        dseditgroup -o edit -a "$login" -t user admin
}
# Where somebody has chosen who may use Remote Login, this group is who.
may_log_in() {
    dscl . -read /Groups/com.apple.access_ssh >/dev/null 2>&1 || return 0
    dseditgroup -o checkmember -m "$login" com.apple.access_ssh >/dev/null 2>&1
}
let_log_in() { dseditgroup -o edit -a "$login" -t user com.apple.access_ssh; }
serve() {
    systemsetup -f -setremotelogin on >/dev/null 2>&1 || true # refused without Full Disk Access
    answers && return 0
    launchctl enable system/com.openssh.sshd
    launchctl bootstrap system /System/Library/LaunchDaemons/ssh.plist 2>/dev/null
    answers_soon
}

# -- a Mac that nobody sits at

stays_awake() {
    pmset -g custom | awk '($1 == "sleep" || $1 == "disksleep") && $2 != 0 { sleeps = 1 } END { exit sleeps }'
}
stay_awake() { pmset -a sleep 0 disksleep 0; }
is_laptop() { pmset -g custom | grep -q '^Battery Power'; }
works_closed() { pmset -g | grep -q 'SleepDisabled[[:space:]]*1'; }
work_closed() { pmset -a disablesleep 1; }
starts_again() { pmset -g custom | grep -q 'autorestart[[:space:]]*1'; }
start_again() { pmset -a autorestart 1; }
power() {
    step 'it does not sleep' stays_awake stay_awake 'pmset -a sleep 0 disksleep 0'
    if is_laptop; then
        step 'it works with its lid closed' works_closed work_closed 'pmset -a disablesleep 1'
    fi
    if pmset -g cap | grep -q autorestart; then
        step 'it starts again when power comes back' starts_again start_again 'pmset -a autorestart 1'
    else
        note 'it does not start by itself when power comes back: this Mac cannot' \
            'its battery bridges a short cut; after a long one somebody presses the button'
    fi
    case $(fdesetup status 2>/dev/null) in *'is On'*)
        note 'FileVault is on: after a restart or a power cut this Mac waits for a password, and nobody reaches it' \
            'fdesetup disable, or restart it only with: fdesetup authrestart' ;;
    esac
}

# -- where programs come from

manager() {
    version=$(sw_vers -productVersion)
    if [ -x /usr/local/bin/brew ]; then
        say ok 'Homebrew is here: it is used as it is, and never updated'
    elif [ -x /opt/local/bin/port ]; then
        say ok 'MacPorts is here'
    else
        lack 'neither Homebrew nor MacPorts is here' \
            "install MacPorts from its package for macOS $version; Homebrew does not install on Intel any more"
    fi
    [ "${version%%.*}" -ge 13 ] ||
        lack "Claude Code needs macOS 13, and this is $version" \
            'upgrade it, or where this Mac cannot: without: [claude_code, agentapi, dispatch, backup] at this host in fleet.yaml'
}
arrange() {
    step "there is a login $login" has_login make_login 'System Settings, Users & Groups: make an administrator of that name'
    step "$login takes the keys of the fleet's operators" has_keys add_keys "$keys_fix"
    private_home
    step "$login becomes root without a password" becomes_root let_become_root "$sudo_fix"
    step "Remote Login lets $login in" may_log_in let_log_in 'System Settings, General, Sharing, Remote Login: allow this login'
    step "Remote Login answers on port $port" answers serve \
        'System Settings, General, Sharing: turn Remote Login on; macOS has it on port 22'
    step 'there is a host key' has_host_key make_host_keys "$host_key_fix"
    lets_in
    step "Apple's command line tools are installed" has_tools install_tools 'xcode-select --install, and press Install'
    power
    manager
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
