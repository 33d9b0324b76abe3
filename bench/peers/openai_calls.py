"""Calls a second of the `openai` package on asyncio, for bench/llm/calls.cc.

usage: openai_calls.py BASE_URL CALLS IN_FLIGHT whole|stream
"""
import asyncio
import sys
import time

import openai


async def run(url, calls, in_flight, stream):
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)
    numbers = iter(range(calls))

    async def worker():
        for number in numbers:
            messages = [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": f"Question {number}: what is the capital of the country?"},
            ]
            reply = await client.chat.completions.create(
                model="mock", messages=messages, temperature=0.7, max_tokens=64, stream=stream
            )
            if stream:
                text = "".join([c.choices[0].delta.content or "" async for c in reply if c.choices])
            else:
                text = reply.choices[0].message.content
            assert text

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*[worker() for _ in range(in_flight)])
    return time.perf_counter() - wall, time.process_time() - cpu


def main():
    url, calls, in_flight, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    wall, cpu = asyncio.run(run(url, calls, in_flight, kind == "stream"))
    name = "python openai" + (", streamed" if kind == "stream" else "")
    print(f"{name:<28} {in_flight:>6} {calls:>8} {calls / wall:>10.0f} {calls / cpu:>14.0f} {1e6 * cpu / calls:>10.1f}")


if __name__ == "__main__":
    main()
