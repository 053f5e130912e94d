# %% Is there a place in the middle?
# The notes train their scorer on windows of five words: the true ones have a place in the middle,
# "museums in Paris are amazing", and a corrupted one is any other window. The true one is to
# score higher by a margin. Here is the whole experiment, on 200 sentences, with held-out ones.
import math
from importlib.resources import files

import numpy as np

from tinygrad_margin import Tape, Value, margin_loss
from tinygrad_margin.cli.player import load_pyplot, save_output, show_progress
from tinygrad_margin.nn import WindowScorer

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
# that is no place. Places mostly follow "in", "of" and the like, most words do not, and a scorer
# that knows this would win without knowing places. So the middle of a twin, too, follows such a
# word. Two words of padding stand before and after each sentence.
PREPOSITIONS = {
    "about", "above", "across", "after", "along", "among", "around", "at", "before", "behind",
    "between", "by", "for", "from", "in", "into", "near", "of", "on", "outside", "over", "through",
    "to", "toward", "under", "until", "with", "within", "without",
}  # fmt: skip


def pairs_of(sentence, rng):
    words, marks = sentence
    padded = ["<s>", "<s>", *words, "</s>", "</s>"]
    windows = [padded[i : i + 5] for i in range(len(words))]
    places = [w for w, is_place in zip(windows, marks) if is_place]
    others = [w for w, is_place in zip(windows, marks) if not is_place and w[1] in PREPOSITIONS]
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
def train(training, held_out, rng, name, epochs=40):
    words = [word for i in training for word in sentences[i][0]]
    known = ["<rare>", "<s>", "</s>", *sorted({word for word in words if words.count(word) > 1})]
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
        show_progress(f"{name}, epoch {epoch + 1}: loss {total / len(pairs):.4f}",
                 last=epoch == epochs - 1)  # fmt: skip
    pairs = [pair for i in held_out for pair in pairs_of(sentences[i], rng)]
    true, corrupted = (look_up(windows) for windows in zip(*pairs))

    def margins(hidden):  # s − s_c, with one of the five words hidden behind "a rare word"
        seen = [np.where(np.arange(5) == hidden, 0, places) for places in (true, corrupted)]
        s, s_c = (scorer.value([theta, *inputs(places)]) for places in seen)
        return s - s_c

    return pairs, np.stack([margins(hidden) for hidden in (None, 0, 1, 2, 3, 4)], axis=1), true


# %% Five times, each with another fifth held out
# So every sentence is scored once, by a scorer that never saw it. The loss goes to 0: on the
# training sentences every margin is met. Whether that carries over is the question.
rng = np.random.default_rng(0)
fifths = np.array_split(rng.permutation(len(sentences)), 5)
pairs, margins, true = [], [], []
for k, held_out in enumerate(fifths):
    training = np.concatenate(fifths[:k] + fifths[k + 1 :])
    found = train(training, held_out, rng, f"fifth {k + 1} held out")
    for everything, new in zip((pairs, margins, true), found):
        everything.extend(new)
margins, *hidden = np.array(margins).T
known = np.array(true)[:, 2] > 0

# %% On held-out sentences
# How often does a true window outscore its corrupted twin? Chance is one half. The interval is
# Wilson's: where the share may lie for other sentences like these.
wins, n, z = margins > 0, len(margins), 1.96
share = wins.mean()
middle = (share + z * z / (2 * n)) / (1 + z * z / n)
reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
print(f"{share:.0%} of {n} pairs; 95 % interval: {middle - reach:.0%} to {middle + reach:.0%}")
print(f"{wins[known].mean():.0%} of {known.sum()} where training met the place more than once, "
      f"{wins[~known].mean():.0%} of {n - known.sum()} where not")  # fmt: skip


# %% Is that more than a rule of thumb?
# A person who has read the sentences would try: "in, of, from or to stands before it, and it is no
# article or the like"; or "no padding", for places seldom end a sentence. A tie counts half. The
# sign test asks how often a fair coin would favour scorer or rule as much as the pairs do in which
# the two differ.
def no_article_after_in(window):
    return window[1] in ("in", "of", "from", "to") and window[2] not in (
        "a", "an", "the", "her", "his", "its", "my", "our", "their",
    )  # fmt: skip


def no_padding(window):
    return "<s>" not in window and "</s>" not in window


for rule in (no_article_after_in, no_padding):
    by_rule = np.array([(1 + rule(true) - rule(corrupted)) / 2 for true, corrupted in pairs])
    better, worse = int(np.sum(wins > by_rule)), int(np.sum(wins < by_rule))
    coin = sum(math.comb(better + worse, k) for k in range(min(better, worse) + 1))
    print(f"{rule.__name__}: {by_rule.mean():.0%}; the scorer does better on {better} pairs, worse "
          f"on {worse}, p = {min(1.0, 2 * coin / 2 ** (better + worse)):.1g}")  # fmt: skip

# %% What it learnt
# More than those rules, but it knows nothing about the world. Hide one word of both windows from
# it: without the word before the middle it loses most. The middle word itself comes second; without
# it, the scorer still does better than the rule that sees it.
for name, margin in zip(("first", "second", "middle", "fourth", "fifth"), hidden):
    print(f"{name} word hidden: {np.mean(margin > 0):.0%}")

# %% The best and the worst
# The largest margins s − s_c, and the smallest: where it goes wrong, one can often see why.
order = np.argsort(margins)
for title, rows in (("best", order[::-1][:4]), ("worst", order[:4])):
    print(f"{title}:")
    for row in rows:
        true, corrupted = pairs[row]
        print(f"  {margins[row]:+6.2f}   {' '.join(true):42} {' '.join(corrupted)}")

# %% As a picture
# Every held-out pair is a dot, and a cross where the corrupted twin won, left of 0. Right of the
# dashed line is the margin that training asked for. Up and down means nothing within a row.
if load_pyplot() is not None:
    figure, axes = load_pyplot().subplots(figsize=(7, 3), layout="constrained")
    height = known + np.random.default_rng(0).uniform(-0.3, 0.3, n)
    axes.scatter(margins[wins], height[wins], s=14, color="#2f66b3")
    axes.scatter(margins[~wins], height[~wins], s=28, color="#c0392b", marker="x")
    axes.axvline(0, color="#4f5963")
    axes.axvline(1, color="#4f5963", linestyle="dashed")
    axes.text(1.05, 0.5, "Δ = 1", va="center")
    axes.set_yticks(
        [0, 1], ["place once or never\nin training", "place more than once\nin training"]
    )
    axes.set(xlabel="s − s_c of held-out pairs", ylim=(-0.5, 1.5),
             title=f"{share:.0%} of true windows outscore their corrupted twins")  # fmt: skip
    save_output(figure, "06-margins.png")
