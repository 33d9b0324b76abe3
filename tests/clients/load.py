#!/usr/bin/env python3
"""Many clients at once, good and bad, against a server; then: was anything lost, is its memory flat?

usage: load.py [http://127.0.0.1:8080] [--clients 64] [--seconds 60] [--pid PID]

Needs the standard library alone. Every whole answer is checked for its end; clients that hang up, read slowly, or send
nonsense are a part of the load. With --pid it prints the server's resident memory as it goes.
"""
import argparse
import asyncio
import json
import random
import time
from urllib.parse import urlsplit

parser = argparse.ArgumentParser()
parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080")
parser.add_argument("--clients", type=int, default=64)
parser.add_argument("--seconds", type=float, default=60)
parser.add_argument("--pid", type=int)
options = parser.parse_args()
place = urlsplit(options.url)
counts = {}
first_token, whole = [], []


def count(name):
    counts[name] = counts.get(name, 0) + 1


def request(body, path="/v1/completions"):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n").encode() + data


async def connect():
    return await asyncio.open_connection(place.hostname, place.port, limit=1 << 20)


async def stream(reader, writer, pause=0.0):
    begin = time.monotonic()
    writer.write(request({"prompt": "The", "max_tokens": random.randint(1, 60), "stream": True, "logprobs": 3}))
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    if status != 200:
        return count(f"status {status}")
    body = b""
    while piece := await reader.read(512 if pause else 65536):
        if not body:
            first_token.append(time.monotonic() - begin)
        body += piece
        if pause:
            await asyncio.sleep(pause)
    whole.append(time.monotonic() - begin)
    count("streams whole" if b"data: [DONE]" in body and body.endswith(b"0\r\n\r\n") else "STREAMS LOST")


async def answer(reader, writer):
    writer.write(request({"prompt": ["The", "A"], "n": 2, "max_tokens": random.randint(1, 30)}))
    reply = await reader.read()
    while piece := await reader.read():
        reply += piece
    status = int(reply[9:12])
    if status == 200:
        choices = json.loads(reply.split(b"\r\n\r\n", 1)[1])["choices"]
        count("answers whole" if len(choices) == 4 else "ANSWERS LOST")
    else:
        count(f"status {status}")


async def hang_up(reader, writer):
    writer.write(request({"prompt": "The", "max_tokens": 400, "stream": random.random() < 0.5}))
    await asyncio.sleep(random.random() * 0.3)
    writer.transport.abort()
    count("hung up")


NONSENSE = [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9\r\n\r\n", b"A" * 70000, b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            request(b"[" * 100000), request(b"{\"prompt\": \"\xff\"}"), request({"prompt": [1, "x"]}),
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", request({"prompt": "x" * 300000})]


async def nonsense(reader, writer):
    writer.write(random.choice(NONSENSE))
    try:
        reply = await asyncio.wait_for(reader.read(4096), 2)
        count("nonsense refused" if not reply or reply[9:10] in b"45" else "NONSENSE TAKEN")
    except asyncio.TimeoutError:
        count("nonsense half said")


async def client(end):
    while time.monotonic() < end:
        kind = random.choices([stream, answer, hang_up, nonsense, "slow"], [10, 3, 3, 3, 1])[0]
        try:
            reader, writer = await connect()
            await (stream(reader, writer, 0.02) if kind == "slow" else kind(reader, writer))
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            count("BROKEN " + type(error).__name__ if kind not in (hang_up, nonsense) else "closed")


def memory():
    with open(f"/proc/{options.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


async def watch(end):
    while time.monotonic() < end:
        if options.pid:
            print(f"{memory():8.1f} MiB  {sum(counts.values())} requests", flush=True)
        await asyncio.sleep(max(1, options.seconds / 8))


def spread(values):
    values = sorted(values) or [0]
    return " / ".join(f"{1000 * values[min(len(values) - 1, int(len(values) * q))]:.0f}" for q in (0.5, 0.95, 0.99))


async def main():
    end = time.monotonic() + options.seconds
    await asyncio.gather(watch(end), *(client(end) for _ in range(options.clients)))
    for name, number in sorted(counts.items()):
        print(f"{number:8d}  {name}")
    print(f"first token, 50/95/99 %: {spread(first_token)} ms; whole stream: {spread(whole)} ms")
    await asyncio.sleep(1)
    reader, writer = await connect()
    writer.write(b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n")
    text = (await reader.read(-1)).decode()
    print("\n".join(line for line in text.splitlines() if line.startswith(("kinglet_sequences_", "kinglet_http_conn"))))
    if options.pid:
        print(f"{memory():8.1f} MiB at the end")


asyncio.run(main())
