# %% Two moons, trained through the tape
# micrograd's own demo: a hundred points in two half moons, a network of 2-16-16-1 relu neurons, and
# the max-margin loss with a little L2. One step of it takes micrograd about a second: it builds
# 65,000 nodes, sweeps over them, and throws them away. But the graph of a point is the same for
# every point and every step. So we record it once, and replay it with arrays.
import random
import time

import numpy as np

from tinygrad_margin import Tape, Value, draw, topological_order
from tinygrad_margin.cli.player import load_pyplot, save_output, show_progress
from tinygrad_margin.nn import MLP

# %% The points
# Two half circles, one upside down, shuffled, and some noise: the same hundred points as there, for
# NumPy's old generator gives the same numbers for the same seed. The class is −1 or +1.
rng = np.random.RandomState(1337)
angle = np.linspace(0, np.pi, 50)
upper = np.array([np.cos(angle), np.sin(angle)])
lower = np.array([1 - np.cos(angle), 0.5 - np.sin(angle)])
order = np.arange(100)
rng.shuffle(order)
X = np.concatenate([upper, lower], axis=1)[:, order] + rng.normal(0, 0.1, (100, 2)).T
y = np.repeat([-1.0, 1.0], 50)[order]
print("X has the shape", X.shape, "and y", y.shape)

# %% The graph of one point, in miniature
# The score s of a point is the network's output; its loss is J = max(1 − y·s, 0), as in the lesson.
# Here is the picture with two hidden neurons instead of 2 · 16. One of them is at rest: its relu
# lets no gradient through, and its weights feel nothing of this point.
random.seed(1)
small = MLP(2, [2, 1])
for i, w in enumerate(small.parameters(), 1):
    w.label = f"theta_{i}"
x_1, x_2, y_i = Value(0.5, "x_1"), Value(-0.2, "x_2"), Value(1.0, "y")
s = small([x_1, x_2])
s.label = "s"
save_output(draw((1 - y_i * s).relu()), "05-in-miniature.svg")

# %% The graph of one point
# The network itself has the same shape, only more of it. It is built once, from Values, and each of
# them can be looked at. The picture of all is as large as a wall: open it in a browser and zoom.
random.seed(1337)
net = MLP(2, [16, 16, 1])
s = net([x_1, x_2])
loss = (1 - y_i * s).relu()
print(len(topological_order(loss)), "nodes")
save_output(draw(loss, max_nodes=1000), "05-one-point.svg")

# %% Record it
# The mean loss of the points is one part of what we minimize, L2 the other. A weight is the same
# number for all points, so the tape adds up its gradient. And it finds the matrices again that hide
# in the sums of products: look at its few levels.
weights = net.parameters()
hinge = Tape(loss, [*weights, x_1, x_2, y_i])
L2 = Tape(1e-4 * sum(w * w for w in weights), weights)
print(hinge)

# %% Train
# theta holds all 337 weights. A step is one replay: the losses of all points, and ∂/∂theta of their
# sum. A loss below 1 means that the score has the right sign, and 0 that the margin is met.
theta = np.array([w.data for w in weights])
history = []
start = time.perf_counter()
for k in range(100):
    losses, (pull, *_) = hinge.value_and_grad([theta, *X, y])
    size, shrink = L2.value_and_grad(theta)
    pull = pull / 100  # of the mean
    history.append([losses.mean(), size, np.sum(losses < 1), np.sum(losses == 0), abs(pull).max()])
    theta = theta - (1 - 0.9 * k / 100) * (pull + shrink)
    show_progress(f"step {k}: loss {losses.mean() + size:.4f}", last=k == 99)
seconds = time.perf_counter() - start
mean_loss, l2, right, met, pulls = np.array(history).T

# %% Beside micrograd
# Its notebook prints a line a step, about a second each: the loss and the accuracy. The digits are
# the same. Nothing was approximated, for the tape computes what backward computes.
print("step   here            micrograd")
for k, printed in {0: "0.8958   50%", 1: "1.7236   81%", 2: "0.7429   77%", 10: "0.2451   91%",
                   50: "0.0988   96%", 99: "0.0110  100%"}.items():  # fmt: skip
    print(f"{k:4}   {mean_loss[k] + l2[k]:.4f} {right[k]:4.0f}%    {printed}")
print(f"{10 * seconds:.2f} ms a step")

# %% Nobody sets the derivative to zero
# Watch the last steps: every point has met its margin. Each hinge is exactly 0, and with it all of
# its gradient. Only L2 is left, which pulls the weights towards 0, a little at a time.
rest = int(np.argmax(met == 100))
for k in (0, rest - 1, rest, 99):
    print(f"step {k:2}: {met[k]:3.0f} margins met, mean hinge {mean_loss[k]:.6f}, L2 {l2[k]:.6f}, "
          f"largest ∂hinge/∂w {pulls[k]:.2g}")  # fmt: skip

# %% The weights go back into the Values
# The graph is still there. With the trained weights in it we can ask it anything: what is ∂J/∂w for
# the point with the smallest margin? Zero for every w, as in the lesson.
for w, number in zip(weights, theta.tolist()):
    w.data = number
scores = Tape(s, [*weights, x_1, x_2])
margins = y * scores.value([theta, *X])
least = int(margins.argmin())
J = (1 - y[least] * net(X[:, least])).relu()
J.backward()
print(f"y·s = {margins[least]:.4f}, J = {J.data}, "
      f"and every ∂J/∂w is 0: {all(w.grad == 0.0 for w in weights)}")  # fmt: skip

# %% The loss, step by step
# The hinge falls by leaps, for the steps are large; L2 hardly moves. Below: ever more points have
# met their margin, and only the others pull. When the last one has, the curve ends: 0 has no place
# on this axis.
plt = load_pyplot()
if plt is not None:
    figure, (above, below) = plt.subplots(2, figsize=(6.4, 4.8), sharex=True, layout="constrained")
    above.semilogy(np.where(mean_loss > 0, mean_loss, np.nan), color="#c0392b", label="mean hinge")
    above.semilogy(l2, color="#2f66b3", linestyle="dashed", label="L2")
    below.plot(met, color="#1f7a43")
    for axes in (above, below):
        axes.axvline(rest, color="#4f5963", linestyle="dotted")
    above.text(rest + 1, 0.3, "hinge and\nits gradient\nexactly 0")
    above.set(ylabel="loss", title="Two moons: the two parts of the loss")
    above.legend(loc="lower left")
    below.set(xlabel="step", ylabel="margins met", ylim=(0, 105))
    save_output(figure, "05-loss.png")

# %% Where the margin lies
# The score is 0 on the boundary. Between the lines −1 and +1 a margin is violated, whichever the
# class. No point is left there, and none on the wrong side: the road between the moons is free, and
# some points stand at its edge. Those were the last to pull.
if plt is not None:
    grid = np.meshgrid(np.linspace(-1.6, 2.6, 120), np.linspace(-1.2, 1.7, 90))
    surface = scores.value([theta, *(g.ravel() for g in grid)]).reshape(90, 120)
    figure, axes = plt.subplots(figsize=(6, 4.4), layout="constrained")
    axes.contourf(*grid, surface, levels=[-99, 0, 99], colors=["#e8f1fd", "#fdf0ee"])
    lines = axes.contour(*grid, surface, levels=[-1, 0, 1], colors="#4f5963",
                         linestyles=["dashed", "solid", "dashed"])  # fmt: skip
    axes.clabel(lines, fmt={-1: "−1", 0: "0", 1: "+1"})
    for side, marker, colour in ((-1, "o", "#2f66b3"), (1, "s", "#c0392b")):
        axes.scatter(*X[:, y == side], marker=marker, color=colour, edgecolor="white",
                     label=f"y = {side:+d}".replace("-", "−"))  # fmt: skip
    axes.set(title="The score of the network", xlabel="x₁", ylabel="x₂")
    axes.legend(loc="upper right")
    save_output(figure, "05-boundary.png")
