#!/bin/sh
# ssh, sftp or scp for Ansible, by the name it is called under, with its calls counted: a line with
# the program and the host into $ANSIBLE_CALLS. One call is one remote execution: a module, a command
# or a file. What only asks the kept connection (-O) goes nowhere and is not counted.
program=${0##*/}
skip=
host=
for word; do
    if [ -n "$skip" ]; then
        [ "$skip" != -O ] || host=-
        skip=
    else
        case $word in
        -[BbcDEeFIiJLlmOoPpQRSWwX]) skip=$word ;;
        -*) ;;
        *) [ -n "$host" ] || host=$word ;;
        esac
    fi
done
host=${host##*@}
host=${host#[}
[ "$host" = - ] || printf '%s %s\n' "$program" "${host%]}" >>"$ANSIBLE_CALLS"
exec "${ANSIBLE_REAL:-/usr/bin}/$program" "$@"
