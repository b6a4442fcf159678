#!/bin/bash
# Runs the unit for real: a systemd of its own, in namespaces of its own, on a copy of this machine's files that
# is thrown away. Needs root and Linux 5.11. Usage: tests/systemd.sh PATH-OF-TURNSTONE
# Status 0: every check held. 1: one did not. 77: this machine does not allow it, and the last line says why.
set -u

not_here() { echo "not run: $1"; exit 77; }

if [ "${1:-}" != --inside ]; then
    program=$(realpath "${1:?the path of the program is missing}")
    here=$(realpath "$(dirname "$0")/..")
    [ "$(id -u)" = 0 ] || not_here "it takes root to start a second systemd"
    [ -x /lib/systemd/systemd ] || not_here "there is no systemd on this machine"
    unified=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    [ -n "$unified" ] || not_here "there is no cgroup2 hierarchy"
    work=$(mktemp -d)
    # A group of its own becomes the root of what that systemd sees: it touches nobody else's processes.
    group="$unified/turnstone-test-$$"
    mkdir "$group" 2>/dev/null || { rmdir "$work"; not_here "no group can be made in $unified"; }
    clean_up() { rmdir "$group"/*/* "$group"/* "$group" 2>/dev/null; rm -rf "$work"; }
    trap clean_up EXIT
    (
        echo $BASHPID > "$group/cgroup.procs"
        exec timeout --kill-after=5 90 unshare --mount --propagation private --pid --fork \
            --kill-child --cgroup --uts --ipc --net \
            "$here/tests/systemd.sh" --inside "$program" "$here" "$work"
    ) > "$work/log" 2>&1
    if [ ! -s "$work/result" ]; then
        tail -n 40 "$work/log"
        [ -s "$work/why" ] && not_here "$(cat "$work/why")"
        echo "the second systemd did not get as far as the checks"
        exit 1
    fi
    cat "$work/result"
    ! grep -q '^FAILED' "$work/result" && grep -q '^done' "$work/result"
    exit
fi

# Inside the namespaces, before systemd.
program=$2 here=$3 work=$4
give_up() { echo "$1" > "$work/why"; exit 1; }
mount -t tmpfs tmpfs /mnt || give_up "file systems cannot be mounted"
mkdir /mnt/{upper,work,root}
root=/mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work $root ||
    give_up "the file system under / cannot be overlaid"
mount -t proc proc $root/proc && mount -t sysfs -o ro sysfs $root/sys ||
    give_up "proc and sysfs cannot be mounted"
mount -t cgroup2 cgroup2 $root/sys/fs/cgroup || give_up "cgroup2 cannot be mounted"
mount -t tmpfs tmpfs $root/run
mount -t tmpfs tmpfs $root/tmp
# Only what programs need: no kernel log, no disks, nothing that systemd could change for others.
mount -t tmpfs -o mode=755 tmpfs $root/dev
for node in null,3 zero,5 full,7 random,8 urandom,9; do
    mknod -m 666 $root/dev/${node%,*} c 1 ${node#*,} || give_up "devices cannot be made"
done
mknod -m 666 $root/dev/tty c 5 0
mkdir $root/dev/{shm,pts,mqueue,hugepages}
mount -t devpts -o newinstance,ptmxmode=0666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
mkdir -p $root/run/result $root/etc/credstore $root/etc/turnstone
mount --bind "$work" $root/run/result

install -m 755 "$program" $root/usr/local/bin/turnstone
install -m 644 "$here/systemd/turnstone.service" $root/etc/systemd/system/turnstone.service
# Impatience saves time, and is all that differs from the unit as it is.
install -D -m 644 <(printf '[Service]\nWatchdogSec=2\n') \
    $root/etc/systemd/system/turnstone.service.d/impatient.conf
install -m 600 <(echo 'a secret of the test') $root/etc/credstore/turnstone.turn-secret
# As docs/install.md has it: links to where certbot keeps them.
live=$root/etc/letsencrypt/live/call.example.org
mkdir -p -m 700 "$live"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 \
    -subj /CN=call.example.org -addext subjectAltName=DNS:call.example.org \
    -keyout "$live/privkey.pem" -out "$live/fullchain.pem" || give_up "openssl makes no certificate"
for name in fullchain privkey; do
    ln -s /etc/letsencrypt/live/call.example.org/$name.pem $root/etc/credstore/turnstone.$name.pem
done
printf 'domain = "call.example.org"\n[turn]\nexternal_ip = "127.0.0.1"\n' \
    > $root/etc/turnstone/turnstone.toml
cat > $root/etc/systemd/system/turnstone-check.service <<'UNIT'
[Unit]
DefaultDependencies=no
After=turnstone.service
Wants=turnstone.service
[Service]
Type=oneshot
ExecStart=/bin/bash /run/check
ExecStopPost=/bin/systemctl --force --force poweroff
UNIT
cat > $root/run/check <<'CHECK'
exec > /run/result/result 2>&1
ip link set lo up
property() { systemctl show --value --property="$1" turnstone; }
status() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$pid/status"; }
page() { curl -fsS --max-time 5 -o /run/page --cacert /etc/credstore/turnstone.fullchain.pem \
    --resolve call.example.org:443:127.0.0.1 https://call.example.org/healthz; }
listens() { ss -Hln "$1" "sport = $2" | grep -q .; }
# check WORDS COMMAND…: as soon as it holds, within 10 s.
check() {
    local words=$1 attempt
    shift
    for attempt in $(seq 100); do
        if "$@" 2> /run/stderr; then echo "ok: $words"; return; fi
        sleep 0.1
    done
    echo "FAILED: $words"
    cat /run/stderr
}
is() { [ "$(property "$1")" = "$2" ]; }
folder=/var/lib/private/turnstone
of_one_owner() { [ "$(find $folder | xargs stat -c %u | sort -u)" = "$(stat -c %u $folder)" ]; }
knows_key() { curl -fsS --max-time 5 -o /run/page --cacert /etc/credstore/turnstone.fullchain.pem \
    -H "Authorization: Bearer $key" --resolve call.example.org:443:127.0.0.1 https://call.example.org/api/v1/rooms; }
has() { [ "$(status "$1")" = "$2" ]; }

check 'systemd was told that the server is ready' is ActiveState active
pid=$(property MainPID)
low_ports=0000000000000400
check 'the server does not run as root' test "$(status Uid)" -gt 0
check 'it has the right to low ports and no other' has CapEff $low_ports
check 'it can gain no other' has CapBnd $low_ports
check 'nor by what it runs' has NoNewPrivs 1
check 'system calls are filtered' has Seccomp 2
check 'it may open as many files as the machine allows' \
    awk '/^Max open files/ { found = $4 == $5 } END { exit !found }' "/proc/$pid/limits"
check 'HTTPS listens on 443' listens -t 443
check 'HTTP listens on 80' listens -t 80
check 'TURN listens on 3478 over TCP' listens -t 3478
check 'TURN listens on 3478 over UDP' listens -u 3478
check 'a page is served, with the certificate handed over' page
check 'its data is closed to others' test "$(stat -c %a /var/lib/private/turnstone)" = 700
check 'the secret was handed over' \
    test -s "/proc/$pid/root/run/credentials/turnstone.service/turn-secret"
sleep 5
check 'the watchdog is content' is MainPID "$pid"
check 'a reload is done' systemctl reload turnstone
check 'a reload keeps it running' is MainPID "$pid"

kill -STOP "$pid"
check 'a server that is stuck is started again' is NRestarts 1
check 'and serves again' page
# As docs/backup.md has it, by root in a shell.
cd /run
check 'in a shell, another folder than its own is refused' eval '! turnstone key list && ! turnstone backup /run/none.tar'
check 'and not made' eval '! test -e /run/data && ! test -e /run/none.tar'
key=$(turnstone key create billing rooms:read --data-dir $folder)
check 'a key is made beside it, and heeded' knows_key
check 'a token is made beside it' eval 'turnstone token Tea --data-dir $folder > /run/token'
check 'a backup is made beside it' turnstone backup /run/all.tar --data-dir $folder
check 'nothing of its data belongs to root by that' of_one_owner

check 'it is stopped' systemctl stop turnstone
check 'by itself, with status 0' is ExecMainStatus 0
check 'and in time' is Result success

rm -r $folder/turnstone.db* $folder/secret $folder/files
check 'a backup is restored' turnstone restore /run/all.tar --data-dir $folder
chown -hR --reference=$folder $folder
check 'what is restored belongs to its user' of_one_owner
check 'it starts with what is restored' systemctl start turnstone
check 'and serves' page
check 'and knows the key' knows_key
check 'it is stopped again' systemctl stop turnstone

echo 'capacity = 5' >> /etc/turnstone/turnstone.toml
check 'mistaken settings keep it from starting' eval '! systemctl start turnstone'
check 'with status 2' is ExecMainStatus 2
sleep 2
check 'and it is not tried again' is ActiveState failed
journal() { journalctl --no-pager -u turnstone; }
check 'the journal says what is wrong' eval 'journal | grep -q "did you mean rooms.capacity"'
check 'the journal holds no colours' eval '! journal | grep -q "$(printf "\033")"'

if grep -q '^FAILED' /run/result/result; then journal | tail -n 40; fi
echo done
CHECK
# As at boot: credentials are mounted by a child and must show up for the service. Shared with nobody outside.
mount --make-rshared $root
export container=other
exec chroot $root /lib/systemd/systemd --unit=turnstone-check.service --log-target=console \
    --show-status=no
