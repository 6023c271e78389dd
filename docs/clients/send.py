"""Sends readings to Vigía and keeps what is not stored yet. Python 3.9, nothing to install.

    python3 send.py https://vigia.example vgd_… < readings.jsonl

Each line is a reading in the compact form: {"code": "8867-4", "value": 72, "unit": "/min", "time": "…", "id": "…"}.
"""

import hashlib
import json
import sys
import time
import urllib.error
import urllib.request

BATCH = 100
LONGEST_WAIT_S = 60


def post(url, key, body):
    """The status, the seconds to wait if the server says so, and the answer; status 0 when nobody answers."""
    request = urllib.request.Request(url + "/device/v1/observations", data=body, method="POST")
    request.add_header("Authorization", "Bearer " + key)
    request.add_header("Content-Type", "application/json")
    # The same batch sent again is stored once, and answered as before.
    request.add_header("Idempotency-Key", hashlib.sha256(body).hexdigest())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, 0, json.load(answer)
    except urllib.error.HTTPError as refused:
        text = refused.read()
        known = refused.headers.get("Content-Type", "").startswith("application/json")
        return refused.code, int(refused.headers.get("Retry-After") or 0), json.loads(text) if known else None
    except (urllib.error.URLError, OSError) as error:
        print(f"not reached: {error}", file=sys.stderr)
        return 0, 0, None


def send(url, key, readings):
    """Sends until the server has answered for every reading."""
    body = json.dumps(readings).encode()
    wait = 1
    while True:
        status, told, answer = post(url, key, body)
        if answer and "items" in answer:
            for item in answer["items"]:
                if item["outcome"] == "rejected":
                    print(item["place"], item["reason"]["issue"][0]["diagnostics"], file=sys.stderr)
            return {name: answer[name] for name in ("created", "duplicate", "quarantined", "rejected")}
        if status not in (0, 409, 429, 500, 502, 503, 504):
            sys.exit(f"refused for good: {status}")
        time.sleep(told or wait)
        wait = min(wait * 2, LONGEST_WAIT_S)


if __name__ == "__main__":
    lines = [json.loads(line) for line in sys.stdin if line.strip()]
    for first in range(0, len(lines), BATCH):
        print(send(sys.argv[1].rstrip("/"), sys.argv[2], lines[first:first + BATCH]))
