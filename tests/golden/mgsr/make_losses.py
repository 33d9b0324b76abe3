"""Losses of distillation and their gradients by PyTorch's autograd, from plain formulas: golden data for
tests/methods/mgsr/losses_test.cc.

    pip install torch
    python3 tests/golden/mgsr/make_losses.py

Writes losses.json: logits of a teacher and a student [4, 9] and, by name, the loss of each row and the gradient of
their sum for the student's logits; for DAC-KL also those for the limits. Made with torch 2.13.0, double precision.
"""
import json
import pathlib

import torch

torch.manual_seed(11)
ROWS, CLASSES = 4, 9
teacher = torch.randn(ROWS, CLASSES, dtype=torch.double) * 2
student = torch.randn(ROWS, CLASSES, dtype=torch.double)
lower = torch.tensor([0.05, 0.2, 0.4, 0.1], dtype=torch.double)
upper = torch.tensor([0.95, 0.8, 0.9, 0.5], dtype=torch.double)


def kl(a, b):
    return (a * (a.log() - b.log())).sum(-1)


def jsd(p, q, b):
    m = b * p + (1 - b) * q
    return b * kl(p, m) + (1 - b) * kl(q, m)


DIVERGENCES = {
    "forward": kl,
    "reverse": lambda p, q: kl(q, p),
    "skew-forward": lambda p, q: kl(p, 0.1 * p + 0.9 * q),
    "skew-reverse": lambda p, q: kl(q, 0.9 * p + 0.1 * q),
    "jsd": lambda p, q: jsd(p, q, 0.3),
    "tvd": lambda p, q: (p - q).abs().sum(-1) / 2,
}


def coordinate(kind, p):
    rank = torch.argsort(torch.argsort(p, descending=True, stable=True)).double()
    if kind == "log-rank":
        return 1 - torch.log1p(rank) / torch.log1p(torch.tensor(float(CLASSES), dtype=torch.double))
    if kind == "rank":
        return (CLASSES - rank - 0.5) / CLASSES
    if kind == "value":
        return p / p.max()
    return torch.stack([p[p <= x].sum() for x in p])


def dac(kind, t, s, low, high, renormalise=True, twice=False):
    p, q = t.softmax(-1), s.softmax(-1)
    with torch.no_grad():
        place = coordinate(kind, p)
    weight = torch.sigmoid((place - low) / 0.05) * torch.sigmoid((high - place) / 0.05)
    top = p.argmax()
    if twice:
        weights = torch.cat([weight, torch.ones(1, dtype=torch.double)])
        p, q = torch.cat([p, p[top:top + 1]]), torch.cat([q, q[top:top + 1]])
    else:
        weights = torch.where(torch.arange(CLASSES) == top, torch.ones_like(weight), weight)
    a, b = weights * p, weights * q
    if renormalise:
        a, b = a / a.sum(), b / b.sum()
    return (a * (a.log() - b.log())).sum()


def span(squared, t, s):
    p, q = t.softmax(-1), s.softmax(-1)
    squares = ((p[:-1] * p[1:] - q[:-1] * q[1:]) ** 2).sum(-1)
    return squares if squared else (squares + 1e-12).sqrt()


result = {"teacher": teacher.tolist(), "student": student.tolist(), "lower": lower.tolist(), "upper": upper.tolist()}
for name, formula in DIVERGENCES.items():
    s = student.clone().requires_grad_()
    losses = formula(teacher.softmax(-1), s.softmax(-1))
    losses.sum().backward()
    result[name] = {"losses": losses.tolist(), "student": s.grad.tolist()}
for name, squared in (("span", False), ("span-squared", True)):
    s = student.clone().requires_grad_()
    losses = span(squared, teacher, s)
    losses.sum().backward()
    result[name] = {"losses": losses.tolist(), "student": s.grad.tolist()}
for kind in ("log-rank", "rank", "value", "mass"):
    for name, options in (("", {}), ("-raw", {"renormalise": False}), ("-twice", {"twice": True})):
        s, low, high = student.clone().requires_grad_(), lower.clone().requires_grad_(), upper.clone().requires_grad_()
        losses = torch.stack([dac(kind, teacher[i], s[i], low[i], high[i], **options) for i in range(ROWS)])
        losses.sum().backward()
        result[kind + name] = {"losses": losses.tolist(), "student": s.grad.tolist(), "lower": low.grad.tolist(),
                               "upper": high.grad.tolist()}
(pathlib.Path(__file__).parent / "losses.json").write_text(json.dumps(result))
