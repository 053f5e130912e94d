# %% Is there a place in the middle?
# The notes train their scorer on windows of five words: the true ones have a place in the middle,
# "museums in Paris are amazing", and a corrupted one is any other window. The true one is to
# score higher by a margin. Here is the whole experiment, on 160 sentences, with held-out ones.
import math
from importlib.resources import files

import numpy as np

from tinygrad_margin import Tape, Value, margin_loss
from tinygrad_margin.nn import WindowScorer
from tinygrad_margin.play import keep, plots, progress

# %% The sentences
# A place stands in brackets. Everything is made lower case, so that capitals give nothing away.
text = (files("tinygrad_margin") / "data" / "windows.txt").read_text("utf-8")
sentences = []
for line in text.splitlines():
    words = line.lower().strip(" .").split()
    marks = [word.startswith("[") for word in words]
    sentences.append(([word.strip("[]") for word in words], marks))
print(len(sentences), "sentences; the first:", *sentences[0][0])


# %% Windows
# Each place gives a true window. Its corrupted twin is a window of the same sentence around a word
# that is no place. Two words of padding stand before and after each sentence.
def pairs_of(sentence, rng):
    words, marks = sentence
    padded = ["<s>", "<s>", *words, "</s>", "</s>"]
    windows = [padded[i : i + 5] for i in range(len(words))]
    others = [w for w, is_place in zip(windows, marks) if not is_place]
    places = [w for w, is_place in zip(windows, marks) if is_place]
    return [(place, others[rng.integers(len(others))]) for place in places]


print(*pairs_of(sentences[0], np.random.default_rng(1)), sep="\n")

# %% The tape of one pair
# Both windows go through one scorer, s = Uᵀ tanh(Wx + b). A word is a vector of 8 numbers, and the
# vectors are learnt too: they are inputs of the tape, so it gives their gradient as well.
SIZE, HIDDEN = 8, 12
net = WindowScorer(n_inputs=5 * SIZE, n_hidden=HIDDEN, seed=224)
x = [Value(0.0) for _ in range(5 * SIZE)]
x_c = [Value(0.0) for _ in range(5 * SIZE)]
s, s_c = net(x), net(x_c)
tape = Tape(margin_loss(s, s_c), [*net.parameters(), *x, *x_c])
scorer = Tape(s, [*net.parameters(), *x])
print(tape)


# %% Training
# Mini-batches of 16 pairs, and Adagrad for the step sizes. A word that occurs once in the training
# sentences is learnt as "a rare word", so that unknown words of held-out sentences have a vector.
def train(seed, epochs=40, told=False):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sentences))
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    counts = {}
    for i in training:
        for word in sentences[i][0]:
            counts[word] = counts.get(word, 0) + 1
    known = ["<rare>", "<s>", "</s>", *sorted(word for word, n in counts.items() if n > 1)]
    index = {word: i for i, word in enumerate(known)}
    vectors = rng.normal(0, 0.3, (len(known), SIZE))
    theta = np.array([p.data for p in net.parameters()])
    speed = [np.full_like(theta, 1e-2), np.full_like(vectors, 1e-2)]

    def look_up(windows):
        return np.array([[index.get(word, 0) for word in window] for window in windows])

    def inputs(places):  # from (pairs, 5) to (5 · SIZE, pairs)
        return vectors[places].reshape(len(places), -1).T

    for epoch in range(epochs):
        pairs = [pair for i in training for pair in pairs_of(sentences[i], rng)]
        rng.shuffle(pairs)
        total = 0.0
        for k in range(0, len(pairs), 16):
            true, corrupted = (look_up(windows) for windows in zip(*pairs[k : k + 16]))
            n = len(true)
            each, (d_theta, *d_x) = tape.value_and_grad([theta, *inputs(true), *inputs(corrupted)])
            total += each.sum()
            d_x = np.array(d_x).reshape(2, 5, SIZE, n).transpose(0, 3, 1, 2)
            d_vectors = np.zeros_like(vectors)
            np.add.at(d_vectors, np.stack([true, corrupted]), d_x)
            for p, d, v in zip((theta, vectors), (d_theta / n, d_vectors / n), speed):
                v += d * d
                p -= 0.1 * d / np.sqrt(v)
        if told:
            progress(f"epoch {epoch + 1}: loss {total / len(pairs):.4f}", last=epoch == epochs - 1)
    pairs = [pair for i in held_out for pair in pairs_of(sentences[i], rng)]
    scores = [scorer.value([theta, *inputs(look_up(windows))]) for windows in zip(*pairs)]
    return pairs, scores[0] - scores[1]


pairs, margins = train(seed=0, told=True)

# %% On held-out sentences
# How often does a true window outscore its corrupted twin, in sentences never seen before? Chance
# is one half. One split has few sentences, so we repeat it for ten splits. The splits share
# sentences, so the error bar is Wilson's for a single split, not for ten times as many pairs.
wins = np.mean(margins > 0)
shares = [wins, *(np.mean(train(seed)[1] > 0) for seed in range(1, 10))]
mean, n, z = float(np.mean(shares)), len(margins), 1.96
middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
reach = z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n)) / (1 + z * z / n)
print(f"first split: {wins:.0%} of {n} pairs; of ten: {min(shares):.0%} to {max(shares):.0%}")
print(f"mean {mean:.0%}; 95 % interval for {n} pairs: {middle - reach:.0%} to {middle + reach:.0%}")

# %% The best and the worst
# The largest margins s − s_c, and the smallest: where it goes wrong, one can often see why.
order = np.argsort(margins)
for title, rows in (("best", order[::-1][:4]), ("worst", order[:4])):
    print(f"{title}:")
    for row in rows:
        true, corrupted = pairs[row]
        print(f"  {margins[row]:+6.2f}   {' '.join(true):42} {' '.join(corrupted)}")

# %% As a picture
# Every held-out pair as a dot; the margin that training asked for is at 1.
if plots() is not None:
    figure, axes = plots().subplots(figsize=(6, 2.6), layout="constrained")
    axes.hist(margins, bins=20, color="#2f66b3")
    axes.axvline(0, color="#4f5963")
    axes.axvline(1, color="#4f5963", linestyle="dashed")
    axes.set(xlabel="s − s_c of held-out pairs", ylabel="pairs",
             title=f"{wins:.0%} of true windows outscore their corrupted twins")  # fmt: skip
    keep(figure, "06-margins.png")
