"""httpx-sse, as its documentation has it: httpx-sse.py {"url", "token"}. What it reads stands on a line each."""

import json
import socket
import sys
import time

import httpx
from httpx_sse import SSEError, connect_sse

resolve = socket.getaddrinfo


def on_this_machine(host, *rest, **named):
    """Names under localhost lead to this machine (RFC 6761), as in browsers; the system's resolver may not know."""
    return resolve("127.0.0.1" if host.endswith(".localhost") else host, *rest, **named)


socket.getaddrinfo = on_this_machine


def say(**what):
    print(json.dumps(what), flush=True)


def follow(url, token):
    last_event_id, wait = "", 1.0
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(timeout=httpx.Timeout(10, read=None), trust_env=False) as client:
        while True:
            try:
                resuming = {"Last-Event-ID": last_event_id} if last_event_id else {}
                with connect_sse(client, "GET", url, headers=headers | resuming) as source:
                    if source.response.is_client_error:
                        return say(kind="error", status=source.response.status_code, closed=True)
                    source.response.raise_for_status()
                    say(kind="open")
                    for event in source.iter_sse():
                        last_event_id = event.id
                        wait = wait if event.retry is None else event.retry / 1000
                        say(kind="message", id=event.id, type=event.event, data=event.data)
            except (httpx.HTTPError, SSEError):
                pass
            say(kind="error", status=None, closed=False)
            time.sleep(wait)


asked = json.loads(sys.argv[1])
follow(asked["url"], asked.get("token"))
