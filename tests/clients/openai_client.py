#!/usr/bin/env python3
"""Speaks with a server through the official `openai` package, and checks what comes back.

usage: openai_client.py [http://127.0.0.1:8080]

Works with `kinglet serve` and with build/tests/scripted_server; pip install openai first. Prints one line a check, and
ends with an error when one fails.
"""
import sys
import threading

import openai

BASE = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080").rstrip("/")
client = openai.OpenAI(base_url=BASE + "/v1", api_key="not-needed", max_retries=0)
MODEL = client.models.list().data[0].id
MESSAGES = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "What is a kinglet?"}]
SETTINGS = {"model": MODEL, "max_tokens": 24, "temperature": 0.8}


def check(name, holds, note=""):
    print(("ok   " if holds else "FAIL ") + name + (f": {note}" if note else ""))
    if not holds:
        check.failed += 1


check.failed = 0


def whole_chat():
    answer = client.chat.completions.create(messages=MESSAGES, seed=1, **SETTINGS)
    choice = answer.choices[0]
    check("chat", bool(choice.message.content) and choice.message.role == "assistant", repr(choice.message.content))
    check("chat finish_reason", choice.finish_reason in ("stop", "length"), choice.finish_reason)
    usage = answer.usage
    check("chat usage", usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, str(usage.total_tokens))
    check("chat cached_tokens", usage.prompt_tokens_details.cached_tokens is not None)
    check("chat system_fingerprint", bool(answer.system_fingerprint))
    again = client.chat.completions.create(messages=MESSAGES, seed=1, **SETTINGS)
    check("chat seed", again.choices[0].message.content == choice.message.content)
    return choice.message.content


def streamed_chat(whole):
    text, reason, usage = "", None, None
    stream = client.chat.completions.create(
        messages=MESSAGES, seed=1, stream=True, stream_options={"include_usage": True}, **SETTINGS)
    pieces = 0
    for chunk in stream:
        if chunk.usage:
            usage = chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            pieces += 1
            reason = choice.finish_reason or reason
    check("stream gives the same text", text == whole, f"{pieces} pieces")
    check("stream finish_reason and usage", reason in ("stop", "length") and usage.completion_tokens > 0)


def chat_logprobs():
    answer = client.chat.completions.create(messages=MESSAGES, logprobs=True, top_logprobs=3, seed=1, **SETTINGS)
    entries = answer.choices[0].logprobs.content
    text = b"".join(bytes(entry.bytes or []) for entry in entries).decode("utf-8", "replace")
    check("chat logprobs align", text == answer.choices[0].message.content, f"{len(entries)} tokens")
    check("chat top_logprobs", all(len(entry.top_logprobs) == 3 and entry.logprob <= 0 for entry in entries))
    ordered = all(a.logprob >= b.logprob for e in entries for a, b in zip(e.top_logprobs, e.top_logprobs[1:]))
    check("chat top_logprobs in order", ordered)


def texts():
    answer = client.completions.create(model=MODEL, prompt=["The", "A bird"], n=2, max_tokens=8, logprobs=2, seed=3)
    check("completions of a list", [choice.index for choice in answer.choices] == [0, 1, 2, 3])
    found = answer.choices[0].logprobs
    same = len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == len(found.text_offset)
    check("completions logprobs", same and found.text_offset[0] == 0)
    text = answer.choices[0].text
    stop = text[2:4]
    stopped = client.completions.create(model=MODEL, prompt="The", max_tokens=8, seed=3, stop=[stop])
    check("stop", stop not in stopped.choices[0].text and stopped.choices[0].finish_reason in ("stop", "length"))
    echo = client.completions.create(model=MODEL, prompt="The", max_tokens=3, echo=True)
    check("echo", echo.choices[0].text.startswith("The"), repr(echo.choices[0].text))
    streamed = "".join(chunk.choices[0].text for chunk in client.completions.create(
        model=MODEL, prompt="The", max_tokens=8, seed=3, stream=True) if chunk.choices)
    whole = client.completions.create(model=MODEL, prompt="The", max_tokens=8, seed=3)
    check("completions stream", streamed == whole.choices[0].text, repr(streamed))


def errors():
    cases = [
        ("unknown model", openai.NotFoundError, "model", lambda: client.chat.completions.create(
            model="gpt-4", messages=MESSAGES)),
        ("temperature", openai.BadRequestError, "temperature", lambda: client.chat.completions.create(
            model=MODEL, messages=MESSAGES, temperature=9)),
        ("role", openai.BadRequestError, "messages[0].role", lambda: client.chat.completions.create(
            model=MODEL, messages=[{"role": "nobody", "content": "x"}])),
        ("tools", openai.BadRequestError, "tools", lambda: client.chat.completions.create(
            model=MODEL, messages=MESSAGES, tools=[{"type": "function", "function": {"name": "f"}}])),
        ("unknown model by address", openai.NotFoundError, "model", lambda: client.models.retrieve("gpt-4")),
    ]
    for name, kind, param, call in cases:
        try:
            call()
            check("error " + name, False, "nothing was raised")
        except openai.APIStatusError as error:
            check("error " + name, isinstance(error, kind) and error.param == param, str(error.body["message"]))


def many():
    texts_seen = [None] * 64

    def one(i):
        stream = client.chat.completions.create(
            messages=MESSAGES, seed=i, stream=True, **SETTINGS)
        texts_seen[i] = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(texts_seen))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check("64 streams at once", all(texts_seen), f"{len(set(texts_seen))} different texts")


def leave():
    stream = client.chat.completions.create(messages=MESSAGES, stream=True, model=MODEL, max_tokens=400)
    next(iter(stream))
    stream.close()
    check("closing a stream", True)


streamed_chat(whole_chat())
chat_logprobs()
texts()
errors()
many()
leave()
sys.exit(1 if check.failed else 0)
