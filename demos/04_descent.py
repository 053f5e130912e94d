# %% Nobody sets the derivative to zero
# A second misreading of the notes: "we set the derivative to zero". In school one does, to find a
# minimum by algebra. Here nobody does. Gradient descent takes a small step downhill, again and
# again, and stops by itself: once the margin is met, J is 0 and the gradient is exactly zero.
from tinygrad_margin import ReverseSweep, Value, margin_loss
from tinygrad_margin.nn import WindowScorer

# %% First with two bare scores
# ∂J/∂s = −1: going downhill raises s. ∂J/∂s_c = +1: going downhill lowers s_c. Each step brings
# them 2 · 0.125 closer to the margin, until the max picks the 0.
s, s_c = Value(0.25, "s"), Value(0.5, "s_c")
for k in range(8):
    J = margin_loss(s, s_c)
    J.zero_grad()
    J.backward()
    print(f"step {k}:  s = {s.data:6.3f}  s_c = {s_c.data:6.3f}  J = {J.data:.3f}"
          f"   ∂J/∂s = {s.grad:+.1f}  ∂J/∂s_c = {s_c.grad:+.1f}")  # fmt: skip
    s.data -= 0.125 * s.grad
    s_c.data -= 0.125 * s_c.grad

# %% What happened at the end
# In the first steps the gradient was the same, −1 and +1, however large J was. At the tie, J = 0,
# the max took one half: one last, smaller step. Since then both gradients are zero, and the scores
# rest. No equation was solved.
J = margin_loss(s, s_c)
print(ReverseSweep(J).step())

# %% Now with the network
# The scores are not free to move by themselves: U, W and b have to move them. The gradient of each
# weight is the sum of its two paths, and each weight takes a step against it.
net = WindowScorer(n_inputs=4, n_hidden=3, seed=7)
true, corrupted = [0.9, 0.1, -0.4, 0.3], [-0.2, 0.8, 0.5, -0.6]
steps = 0
while True:
    s, s_c = net(true), net(corrupted)
    J = margin_loss(s, s_c)
    net.zero_grad()
    J.backward()
    if steps % 5 == 0 or J.data == 0.0:
        size = sum(p.grad**2 for p in net.parameters()) ** 0.5
        print(f"step {steps:2d}:  s − s_c = {s.data - s_c.data:6.3f}   J = {J.data:.3f}"
              f"   length of the gradient = {size:.3f}")  # fmt: skip
    if J.data == 0.0:
        break
    for p in net.parameters():
        p.data -= 0.05 * p.grad
    steps += 1

# %% Exactly zero
# The true window now beats the corrupted one by more than Δ = 1. J is 0, not nearly but exactly,
# for the max picked the constant 0. And so every weight's gradient is exactly zero: nothing pushes
# any more. That is what "the derivative is zero" means here: it is where descent came to rest.
print("J =", J.data)
print("every gradient is exactly zero:", all(p.grad == 0.0 for p in net.parameters()))
