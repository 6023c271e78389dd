#!/usr/bin/env bash
# A device with real clients: it is registered and gets its key, comes to a patient, publishes by mosquitto's own client in
# both versions of MQTT, and sends by each of docs/clients; its readings are there when the client has returned.
# device.sh VIGIA DIRECTORY
set -euo pipefail
vigia=$(realpath "$1"); clients=$(realpath "$(dirname "$0")/../../docs/clients"); place=$(mktemp -d -p "$2"); cd "$place"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' 2>/dev/null \
    || node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }
http=$(free_port); mqtt=$(free_port)
"$vigia" keygen > vigia.toml
cat >> vigia.toml <<SETTINGS

[server]
bind = "127.0.0.1:$http"
public_url = "https://vigia.test"

[mqtt]
bind = "127.0.0.1:$mqtt"
SETTINGS

read -r device key < <("$vigia" device add SN-0042 --name "Bed 3")
"$vigia" serve > serve.log 2>&1 & server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
for _ in $(seq 200); do curl -fs "http://127.0.0.1:$http/health/ready" >/dev/null && break; sleep 0.1; done

token=$("$vigia" client token --client test --scope "system/*.cruds")
fhir() { curl -fsS -H "Authorization: Bearer $token" -H "Content-Type: application/json" "$@"; }
patient=$(fhir "http://127.0.0.1:$http/fhir/Patient" -d '{"resourceType":"Patient"}' | grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
fhir "http://127.0.0.1:$http/device/v1/devices/${device#Device/}/association" \
    -d "{\"patient\": \"Patient/$patient\", \"start\": \"2026-01-01T00:00:00Z\"}" >/dev/null

publish() { mosquitto_pub -h 127.0.0.1 -p "$mqtt" -u "$device" -P "$key" "$@"; }
count() { fhir "http://127.0.0.1:$http/fhir/Observation?patient=$patient&code=$1&_total=accurate&_count=0" | grep -o '"total":[0-9]*' | cut -d : -f 2; }
expect() { [ "$2" = "$3" ] || { echo "device.sh: $1: $2 instead of $3" >&2; cat serve.log >&2; exit 1; }; }

publish -V mqttv311 -q 1 -t vitals/me/observations -m '{"code": "8867-4", "value": 71, "unit": "/min"}'
expect "3.1.1, at least once" "$(count 8867-4)" 1
publish -V mqttv5 -q 1 -t v1/devices/me/telemetry -m '{"heartRate": 72, "spo2": 97}'
expect "5, at least once" "$(count 8867-4,2708-6)" 3
publish -V mqttv5 -q 2 -t vitals/me/observations -m '{"code": "bp", "systolic": 120, "diastolic": 80, "unit": "mm[Hg]"}'
expect "exactly once" "$(count 85354-9)" 1
printf '\x00\x49' > heart-rate.bin
publish -q 1 -t vitals/me/gatt/2A37 -f heart-rate.bin
expect "a Bluetooth value" "$(count 8867-4)" 3
seq 60 79 | sed 's/.*/{"code": "8867-4", "value": &, "unit": "\/min"}/' | publish -q 1 -t vitals/me/observations -l
expect "many of one connection" "$(count 8867-4)" 23
if mosquitto_pub -h 127.0.0.1 -p "$mqtt" -u "$device" -P vgd_wrong -q 1 -t vitals/me/observations -m '{}' 2>/dev/null; then
    expect "a wrong key" "let in" "refused"
fi
expect "nothing else" "$(count 8867-4)" 23

# Two readings by each client, and the same again by the same: two more each.
cc -Wall -Wextra -Werror -o send "$clients/send.c" -lcurl
readings() { printf '{"code": "8310-5", "value": "36.%s", "unit": "Cel", "time": "2026-01-02T0%s:00:00Z", "id": "%s-%s"}\n' 60 1 "$1" a 70 2 "$1" b; }
here="http://127.0.0.1:$http"; sent=0
for client in "python3 $clients/send.py" "node $clients/send.mjs" "./send"; do
    readings "$sent" > readings.jsonl
    for _ in once twice; do $client "$here" "$key" < readings.jsonl >> clients.log 2>&1 || { cat clients.log >&2; exit 1; }; done
    sent=$((sent + 2))
    expect "$client" "$(count 8310-5)" "$sent"
done
if echo '{"code": "8310-5", "value": "warm"}' | python3 "$clients/send.py" "$here" "$key" 2>&1 | grep -q "'rejected': 1"; then :; else
    expect "a wrong reading" "not told" "told"
fi
echo "MQTT 3.1.1 and 5 by mosquitto's client, and the clients in Python, JavaScript and C: all readings are there"
