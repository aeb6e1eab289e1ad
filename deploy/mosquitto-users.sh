#!/bin/sh
# Make the broker's password file: the server's from PATROLGRID_MQTT_PASSWORD, the devices' from the file $1, into $2.
# Lines of $1 are device:password, the password without colon and blanks; empty ones and those that start with # are passed over.
set -eu
devices=$1
folder=$2
: "${PATROLGRID_MQTT_PASSWORD:?is needed}"
case $PATROLGRID_MQTT_PASSWORD in
    *[!A-Za-z0-9]*) echo "PATROLGRID_MQTT_PASSWORD: letters and digits only, as it stands in an address" >&2; exit 1 ;;
esac
named() { tr -d '\r' < "$devices" | grep -vE '^(#.*|[[:space:]]*)$' || true; }

# A name with / + or # would reach other topics through the %u of the ACL; "patrolgrid" is the server itself.
bad=$(tr -d '\r' < "$devices" | grep -vnE '^(#.*|[[:space:]]*|[A-Za-z0-9._-]+:[^:[:space:]]+)$' | cut -d: -f1 | tr '\n' ' ')
if [ -n "$bad" ]; then
    echo "$devices: expected device:password, the device of letters, digits and . _ -, the password without colon and blanks, in line: $bad" >&2
    exit 1
fi
if named | grep -q '^patrolgrid:'; then
    echo "$devices: patrolgrid is the server's own name and no device's" >&2
    exit 1
fi
double=$(named | cut -d: -f1 | sort | uniq -d)
if [ -n "$double" ]; then
    echo "$devices: more than one password for: $double" >&2
    exit 1
fi

umask 077
new=$folder/passwords.new
{
    printf 'patrolgrid:%s\n' "$PATROLGRID_MQTT_PASSWORD"
    named
} > "$new"
mosquitto_passwd -U "$new"
[ -z "${OWNER:-}" ] || chown "$OWNER" "$new"
mv "$new" "$folder/passwords"
echo "made the passwords of $(($(wc -l < "$folder/passwords"))) names"
