# %% Two moons, trained through the tape
# micrograd's own demo: a hundred points in two half moons, a network of 2-16-16-1 relu neurons, and
# the max-margin loss with a little L2. One step of it takes micrograd most of a second: it builds
# 65,000 nodes, sweeps over them, and throws them away. But the graph of a point is the same for
# every point and every step. So we record it once, and replay it with arrays.
import random
import time

import numpy as np

from tinygrad_margin import Tape, Value, draw
from tinygrad_margin.nn import MLP
from tinygrad_margin.play import keep, plots, progress

# %% The points
# Two half circles, one upside down, and some noise. The class is −1 or +1.
rng = np.random.default_rng(1337)
angle = np.pi * rng.uniform(0, 1, 50)
upper = np.stack([np.cos(angle), np.sin(angle)])
lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)])
X = np.concatenate([upper, lower], axis=1) + rng.normal(0, 0.1, (2, 100))
y = np.repeat([-1.0, 1.0], 50)
print("X has the shape", X.shape, "and y", y.shape)

# %% The graph of one point
# The score of a point x is the network's output; the loss is max(1 − y·score, 0), as in the lesson.
# It is built once, from Values: 985 nodes, and each of them can be looked at.
random.seed(1337)
net = MLP(2, [16, 16, 1])
x_1, x_2, y_i = Value(0.5, "x_1"), Value(-0.2, "x_2"), Value(1.0, "y")
score = net([x_1, x_2])
loss = (1 - y_i * score).relu()
keep(draw(loss, max_nodes=1000), "05-one-point.svg")

# %% Record it
# The loss of one point, and its share of the L2 term: added up over 100 points they make the mean
# loss, and the gradient of a weight, which is the same number for all points, is added up as well.
# The tape finds the matrices again that hide in the sums of products: look at its few levels.
weights = net.parameters()
share = (loss + 1e-4 * sum(w * w for w in weights)) / 100
tape = Tape(share, [*weights, x_1, x_2, y_i])
scores = Tape(score, [*weights, x_1, x_2])
print(tape)

# %% Train
# theta holds all 337 weights. A step is one replay: the losses of all points, and ∂J/∂theta.
theta = np.array([w.data for w in weights])
losses = []
start = time.perf_counter()
for step in range(300):
    each, gradient = tape.value_and_grad([theta, X[0], X[1], y])
    losses.append(each.sum())
    theta = theta - (1.0 - 0.9 * step / 300) * gradient[0]
    progress(f"step {step + 1}: loss {losses[-1]:.4f}", last=step == 299)
seconds = time.perf_counter() - start
right = np.mean((scores.value([theta, X[0], X[1]]) > 0) == (y > 0))
print(f"{right:.0%} of the points are on the right side")

# %% How long that took
# micrograd prints "step 99 loss 0.011…, accuracy 100.0%" after a hundred steps, at 0.7 to 1.2
# seconds each on the machine of docs/benchmarks.md. Here all 300 steps took less than one of them,
# or not much more; and nothing was approximated: the tape computes what backward computes.
print(f"{1000 * seconds / 300:.2f} ms a step")

# %% The weights go back into the Values
# The graph is still there. With the trained weights in it we can ask it anything: what is ∂J/∂w for
# a point that has its margin? Zero for every w, as in the lesson.
for w, number in zip(weights, theta.tolist()):
    w.data = number
margins = y * scores.value([theta, X[0], X[1]])
best = int(margins.argmax())
met = (1 - y[best] * net([X[0, best], X[1, best]])).relu()
met.backward()
print(f"y·score = {margins[best]:.2f}, J = {met.data}, "
      f"and every ∂J/∂w is 0: {all(w.grad == 0.0 for w in weights)}")  # fmt: skip

# %% The loss, step by step
# It falls fast, then slowly: fewer and fewer points are inside the margin, and only those pull.
if plots() is not None:
    figure, axes = plots().subplots(figsize=(6, 3.2), layout="constrained")
    axes.semilogy(losses, color="#c0392b")
    axes.set(xlabel="step", ylabel="loss", title="Two moons: mean hinge loss with L2")
    keep(figure, "05-loss.png")

# %% Where the margin lies
# The score is 0 on the boundary. Between the lines −1 and +1 the margin is violated, whichever the
# class; the points there, and those on the wrong side, are all that the gradient still hears.
if plots() is not None:
    grid = np.meshgrid(np.linspace(-1.6, 2.6, 120), np.linspace(-1.2, 1.7, 90))
    surface = scores.value([theta, *(g.ravel() for g in grid)]).reshape(90, 120)
    figure, axes = plots().subplots(figsize=(6, 4.4), layout="constrained")
    axes.contourf(*grid, surface, levels=[-99, 0, 99], colors=["#e8f1fd", "#fdf0ee"])
    lines = axes.contour(*grid, surface, levels=[-1, 0, 1], colors="#4f5963",
                         linestyles=["dashed", "solid", "dashed"])  # fmt: skip
    axes.clabel(lines, fmt={-1: "−1", 0: "0", 1: "+1"})
    for side, marker, colour in ((-1, "o", "#2f66b3"), (1, "s", "#c0392b")):
        axes.scatter(*X[:, y == side], marker=marker, color=colour, edgecolor="white",
                     label=f"y = {side:+d}".replace("-", "−"))  # fmt: skip
    axes.set(title="The score of the network", xlabel="x₁", ylabel="x₂")
    axes.legend(loc="upper right")
    keep(figure, "05-boundary.png")
