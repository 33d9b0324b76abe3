"""Stems and ROUGE scores of the rouge-score package: golden data for tests/text/rouge_test.cc.

    pip install rouge-score          # 0.1.2, with nltk 3.10.4
    python3 tests/golden/text/make_rouge.py

Writes rouge.json: "stems" of words of the dictionary (Debian's dict-gcide) and of made-up words with many endings, and
"pairs" of texts with rouge1, rouge2 and rougeL as [precision, recall, F], with and without stems.
"""
import itertools
import json
import pathlib
import random

from nltk.stem import porter
from rouge_score import rouge_scorer

random.seed(5)
stemmer = porter.PorterStemmer()
index = pathlib.Path("/usr/share/dictd/gcide.index").read_text(errors="replace").splitlines()
words = sorted({line.split("\t")[0].lower() for line in index})
words = random.sample([w for w in words if w.isascii() and w.isalnum()], 1500)
starts = ["b", "y", "yy", "tree", "oat", "trouble", "hop", "fil", "fall", "agr", "rel", "conform", "abl", "sky", "dy",
          "syzyg", "controll", "geo", "theo", "a1", "2"]
ends = ["", "s", "es", "ies", "sses", "ss", "ied", "eed", "ed", "ing", "ated", "bling", "izing", "pping", "lling", "y",
        "ational", "tional", "enci", "anci", "izer", "bli", "alli", "entli", "eli", "ousli", "ization", "ation", "ator",
        "alism", "iveness", "fulness", "ousness", "aliti", "iviti", "biliti", "fulli", "logi", "icate", "ative", "alize",
        "iciti", "ical", "ful", "ness", "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent",
        "sion", "tion", "zion", "ou", "ism", "ate", "iti", "ous", "ive", "ize", "e", "ll", "allialli"]
words += [a + b for a, b in itertools.product(starts, ends)]
words += ["skies", "dying", "lying", "tying", "news", "innings", "outing", "cannings", "howe", "proceed", "exceed",
          "succeed", "dies", "flies", "died", "spied", "enjoy", "happy", "as", "is", "ing", "ed", "ion", "sing"]

texts = ["the cat sat", "the cat sat down", "", "   ", "...", "running runs", "The quick brown fox jumps over the lazy dog",
         "The quick brown dog jumps on the log.", "İstanbul K 300 Å ﬁne naïve", "istanbul k 300 å fine naive",
         "a a a b", "a b a a", "don't stop-believing", "DON'T STOP believing!", "数 cat 字", "tab\tand\nnew line"]
lines = [s for s in pathlib.Path("/usr/share/common-licenses/GPL-3").read_text().split("\n\n") if 40 < len(s) < 300]
for line in random.sample(lines, 20):
    tokens = line.split()
    random.shuffle(tokens)
    texts += [line, " ".join(t for t in tokens if random.random() < 0.7)]
pairs = []
for i in range(0, len(texts) - 1):
    pair = {"reference": texts[i], "prediction": texts[i + 1]}
    for name, stems in (("stemmed", True), ("plain", False)):
        scores = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=stems).score(texts[i], texts[i + 1])
        pair[name] = {kind: list(score) for kind, score in scores.items()}
    pairs.append(pair)
multiple = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True).score_multi(texts[4:8], texts[7])["rougeL"]
result = {"stems": {w: stemmer.stem(w) for w in words}, "pairs": pairs,
          "multiple": {"references": texts[4:8], "prediction": texts[7], "score": list(multiple)}}
(pathlib.Path(__file__).parent / "rouge.json").write_text(json.dumps(result, ensure_ascii=False))
