#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
# Turn a bootstrapped Debian into a test guest. Runs once, as root, inside the new root.
set -eu

# Who gets in: root by the key of this cache, on the console without a password.
install -d -m 0700 /root/.ssh
mv /root/harness-key.pub /root/.ssh/authorized_keys
chmod 0600 /root/.ssh/authorized_keys
rm -f /etc/ssh/ssh_host_*
mv /etc/ssh/host_key /etc/ssh/ssh_host_ed25519_key
mv /etc/ssh/host_key.pub /etc/ssh/ssh_host_ed25519_key.pub
chown root:root /etc/ssh/ssh_host_ed25519_key* /root/.ssh/authorized_keys
chmod 0600 /etc/ssh/ssh_host_ed25519_key
cat >/etc/ssh/sshd_config.d/harness.conf <<'CONF'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
MaxSessions 100
MaxStartups 100
PrintMotd no
PrintLastLog no
CONF
passwd -d root >/dev/null
install -d /etc/systemd/system/serial-getty@ttyS0.service.d
cat >/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf <<'CONF'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 %I vt220
CONF

# An ordinary user, for tests of what an ordinary user must not do.
useradd --create-home --uid 1000 --shell /bin/sh tester

# Where it lives: one disk, one network by DHCP.
echo harness-guest >/etc/hostname
echo '127.0.0.1 localhost harness-guest' >/etc/hosts
cat >/etc/fstab <<'CONF'
LABEL=harness-root / ext4 noatime,nobarrier 0 0
CONF
cat >/etc/systemd/network/10-all.network <<'CONF'
[Match]
Type=ether
[Network]
DHCP=ipv4
IPv6AcceptRA=no
LinkLocalAddressing=no
[DHCPv4]
UseDNS=no
CONF
systemctl -q enable systemd-networkd ssh

# Drivers that nothing else asks for: the panic notifier, guest memory's map for dumps.
printf '%s\n' pvpanic-mmio pvpanic-pci qemu_fw_cfg >/etc/modules-load.d/harness.conf
mkdir -p /lib/modules /mnt/share

# What a test guest has no use for, and what would run in the middle of a test.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer logrotate.timer man-db.timer systemd-timesyncd.service \
	systemd-networkd-wait-online.service systemd-pstore.service systemd-tmpfiles-clean.timer \
	systemd-update-utmp.service systemd-random-seed.service getty@tty1.service \
	systemd-journal-flush.service keyboard-setup.service console-setup.service; do
	systemctl -q mask "$unit" 2>/dev/null || true
done
install -d /etc/systemd/journald.conf.d
cat >/etc/systemd/journald.conf.d/harness.conf <<'CONF'
[Journal]
Storage=volatile
RuntimeMaxUse=16M
ReadKMsg=no
RateLimitBurst=0
CONF
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /usr/share/doc/* /usr/share/man/* \
	/usr/share/locale/* /usr/share/info/*
