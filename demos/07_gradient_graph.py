# %% The gradient is a formula, too
# J = (tanh(W x) − y)² is one neuron and its squared error. Its gradient ∂J/∂W is a number here, but
# it was computed by operations, from W, x and y; and whatever is computed by operations is a graph.
import numpy as np

from tinygrad_margin import ReverseSweep, Value, draw, grad, gradcheck, hessian, margin_loss
from tinygrad_margin.cli.player import load_pyplot, save_output

W, x, y = Value(0.5, "W"), Value(1.5, "x"), Value(1.0, "y")
a = (W * x).tanh()
a.label = "a"
J = (a - y) ** 2
J.label = "J"
print("∂J/∂W =", grad(J, W))

# %% The picture of J, and the picture of ∂J/∂W
# With create_graph, grad gives Values: 2 · (a − y) · (1 − a²) · x, the chain rule written out. It
# uses J's own nodes: W, x and a are the same boxes, with arrows to the new ones.
slope = grad(J, W, create_graph=True)
slope.label = "J'"
print(slope)
save_output(draw(J), "07-loss.svg")
save_output(draw(slope), "07-gradient-graph.svg")

# %% Differentiate it again
# A graph has a reverse sweep, so this one has, too: what arrives at W is ∂²J/∂W², how fast the
# slope itself changes. Two ways lead from W to J', through (a − y) and through (1 − a²).
sweep = ReverseSweep(slope)
print(*sweep.run()[:3], sep="\n")
print("∂²J/∂W² =", sweep.totals[W], "and at once:", hessian(J, W))
print(gradcheck(lambda W: grad(((W * x).tanh() - y) ** 2, W, create_graph=True), [W]))

# %% The margin loss does not bend
# max(Δ + s_c − s, 0) is made of two flat pieces. Its slopes are −1 and +1 wherever the margin is
# violated: they are numbers, they do not depend on s. So all its second derivatives are 0.
s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
print("gradient:", grad(margin_loss(s, s_c), [s, s_c], create_graph=True))
print("Hessian: ", hessian(margin_loss(s, s_c), [s, s_c]))

# %% Its smooth cousin does
# softplus(z) = log(1 + eᶻ) bends, most of all near z = 0. Here is a small problem with it: find a
# weight w and a bias b so that w·x + b has the sign of y, for eight points, of which one is odd.
# The last term keeps the weight small.
points = [-2.0, -1.5, -1.0, -0.2, 0.1, 0.6, 1.5, 3.0]
signs = [-1, -1, -1, 1, -1, 1, 1, 1]


def loss(w, b):
    violations = (1 - y_i * (w * x_i + b) for x_i, y_i in zip(points, signs))
    return sum((1 + z.exp()).log() for z in violations) / len(points) + 0.02 * w**2


print(gradcheck(loss, [0.0, 0.0]))


# %% Two ways downhill
# Gradient descent knows the slope and takes a step of a size that somebody chose. Newton's method
# knows how the slope changes as well: it steps to where the slope would be 0 if J were a parabola,
# θ − H⁻¹ ∇J. H is the Hessian, here of 2 rows and 2 columns.
def descend(step):
    w, b = Value(0.0, "w"), Value(0.0, "b")
    path = []
    while True:
        J = loss(w, b)
        gradient = np.array(grad(J, [w, b]))
        path.append((w.data, b.data, np.hypot(*gradient)))
        if path[-1][2] < 1e-9:
            return np.array(path)
        w.data, b.data = (w.data, b.data) - step(gradient, J, [w, b])


slow = descend(lambda gradient, J, wb: 1.0 * gradient)
newton = descend(lambda gradient, J, wb: np.linalg.solve(hessian(J, wb), gradient))
print("steps until the gradient is shorter than 1e-9:")
print("  gradient descent:", len(slow) - 1, " Newton's method:", len(newton) - 1)

# %% How fast is fast?
# Near the minimum J is a parabola, very nearly. Gradient descent shortens the gradient by the same
# factor each time; Newton's method about doubles the number of right digits each time.
for k, (w_k, b_k, length) in enumerate(newton):
    print(f"step {k}:  w = {w_k:.12f}  b = {b_k:+.12f}   length of the gradient = {length:.1e}")

# %% The two paths
# Gradient descent takes the steepest way down, as it is under its feet. Newton's method
# heads for where the valley's floor would be if it were a parabola; H knows how it is shaped.
if load_pyplot() is not None:
    figure, (left, right) = load_pyplot().subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    grid = np.meshgrid(np.linspace(-0.2, 3, 40), np.linspace(-0.4, 0.6, 40))
    heights = np.array(
        [[loss(Value(w), Value(b)).data for w, b in zip(*row)] for row in zip(*grid)]
    )
    levels = heights.min() + np.geomspace(1e-3, 1, 14)
    left.contour(*grid, heights, levels=levels, colors="#b8c0c8", linewidths=0.8)
    for path, name, style in ((slow, "gradient descent", "o-"), (newton, "Newton's method", "s--")):
        colour = "#2f66b3" if path is slow else "#c0392b"
        left.plot(path[:, 0], path[:, 1], style, color=colour, markersize=4, label=name)
        right.semilogy(path[:, 2], style, color=colour, markersize=3, label=name)
    left.set(xlabel="w", ylabel="b", title="Where they go")
    right.set(xlabel="step", ylabel="length of the gradient", title="How fast they get there")
    left.legend(loc="upper left")
    save_output(figure, "07-newton.png")

# %% Why then not always Newton?
# With n weights H has n² entries, one reverse sweep for each of its n rows, and H⁻¹ ∇J takes time
# n³. For two weights that is nothing; for a million it is out of the question. And on max(z, 0) it
# would divide by 0: H has nothing to say there.
print("a network of a million weights: a Hessian of", f"{10**12:,}", "entries")
