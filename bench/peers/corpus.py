"""Byte-level text that every Debian machine with Python already has.

The corpus is the Python standard library's own ``*.py`` sources (tests and
third-party packages left out) followed by ``/usr/share/common-licenses``.
Files are ordered by relative path; every 20th file is validation, the rest is
training. A token is a byte, so the vocabulary has 256 entries and no tokenizer
is needed. The sha256 of both halves is part of every result, because another
Python version brings other sources.
"""

import hashlib
import sysconfig
from pathlib import Path

import numpy as np
import torch

VOCAB_SIZE = 256
VALIDATION_EVERY = 20
SKIPPED_FOLDERS = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


def corpus_files():
    """Yields (relative name, path), sorted by name, each real file once."""
    roots = [("stdlib", Path(sysconfig.get_path("stdlib")), "*.py"),
             ("licenses", Path("/usr/share/common-licenses"), "*")]
    for label, root, pattern in roots:
        for path in sorted(root.rglob(pattern)):
            relative = path.relative_to(root)
            if path.is_symlink() or not path.is_file() or SKIPPED_FOLDERS & set(relative.parts):
                continue
            yield f"{label}/{relative.as_posix()}", path


def load_corpus():
    """Returns (train, validation), two uint8 arrays of bytes."""
    halves = {"train": [], "validation": []}
    for number, (_, path) in enumerate(corpus_files()):
        half = "validation" if number % VALIDATION_EVERY == VALIDATION_EVERY - 1 else "train"
        halves[half].append(path.read_bytes() + b"\n")
    train, validation = (np.frombuffer(b"".join(halves[h]), dtype=np.uint8) for h in halves)
    return train, validation


def sha256(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def _splitmix64(x):
    """The SplitMix64 finaliser: a good 64-bit hash of an integer."""
    mask = (1 << 64) - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


class WindowDataset(torch.utils.data.Dataset):
    """Item i is a window of ``context`` bytes whose place depends on (seed, i) alone.

    Read in order (no shuffling), step s of a run always sees the same batch,
    whether the run was interrupted or not.
    """

    def __init__(self, data, context, seed, length):
        self.data, self.context, self.seed, self.length = data, context, seed, length

    def __len__(self):
        return self.length

    def __getitem__(self, i):
        begin = _splitmix64(_splitmix64(self.seed) ^ i) % (len(self.data) - self.context)
        window = torch.from_numpy(self.data[begin:begin + self.context].astype(np.int64))
        return {"input_ids": window, "labels": window}


def validation_windows(data, context, count):
    """Returns int64 [count, context]: evenly spaced windows, the same for every run."""
    begins = np.linspace(0, len(data) - context, count).astype(np.int64)
    return torch.from_numpy(np.stack([data[b:b + context] for b in begins]).astype(np.int64))
