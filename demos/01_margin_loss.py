# %% The question
# The notes of CS224N train a network on pairs: a true window of words gets the score s, a corrupted
# one the score s_c. The true one is to win by a margin Δ = 1. How far it is from that is the loss
#
#     J = max(Δ + s_c − s, 0)
#
# and the notes say: ∂J/∂s = −1 and ∂J/∂s_c = +1. A student asks: why? Both scores come out of the
# same network. Should the result not depend on ∂s_c/∂s?
from tinygrad_margin import (
    ReverseSweep,
    Value,
    depends_on,
    draw,
    explain,
    grad,
    margin_loss,
    page,
    topological_order,
)  # fmt: skip
from tinygrad_margin.cli.player import save_output

# %% J is a graph
# Let us build J at s = 0.3 and s_c = 0.5. A Value is a number that remembers how it was computed.
# So J is not just 1.2: it is a graph of seven nodes, and s and s_c are two of them.
s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
J = margin_loss(s, s_c)
print("J =", J.data, "and its nodes are:")
for node in topological_order(J):
    print("  ", node.label or node.op or "a constant", "=", node.data)
save_output(draw(J), "01-violated.svg")

# %% The way back, one node at a time
# To differentiate J, start at J, where ∂J/∂J = 1, and walk back along the arrows. At each node,
# multiply what arrives by the node's local derivative, and hand it on. That is all there is.
# (v₁ is the sum Δ + s_c, which bears no label.) Watch the minus sign of "z = v₁ − s": it is where
# the −1 comes from.
for step in ReverseSweep(J):
    print(step)

# %% Why −1, why +1
# Only one path leads from s to J, and only one from s_c. On the first there is one minus sign; on
# the second there is none. The max passes everything on, as its left operand is the larger one.
print(explain(J, s))
print()
print(explain(J, s_c))

# %% Why no ∂s_c/∂s
# The chain rule multiplies along paths that lead to J. Is there a path from s to s_c?
print("Does s_c depend on s?", depends_on(s_c, s))
print(explain(s_c, s))

# %% The margin is met
# Now let the true window win by more than Δ: s = 2. The max picks the 0. J is 0, and it stays 0
# when s moves a little. All of the gradient goes to the constant 0, and nothing to s or s_c.
s, s_c = Value(2.0, "s"), Value(0.5, "s_c")
J = margin_loss(s, s_c)
print(ReverseSweep(J).step())
print("∂J/∂s and ∂J/∂s_c:", grad(J, [s, s_c]))
save_output(draw(J), "01-met.svg")

# %% At the kink
# And exactly in between, at s = 1.5? On one side the slope in s is −1, on the other 0, so at this
# point J has no slope. Every number between is called a subgradient. The engine has to choose one,
# and says which: a max at a tie gives one half to each side.
s, s_c = Value(1.5, "s"), Value(0.5, "s_c")
J = margin_loss(s, s_c)
print(explain(J, s))
save_output(draw(J), "01-kink.svg")

# %% Drag it yourself
# All three at once: a page for a browser, with a slider for s, for s_c and for Δ. Drag s to the
# right: J falls, and the red arrows stay as wide as they were, until s passes s_c + Δ. There they
# go out. The arrow keys step through the sweep.
s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
J = margin_loss(s, s_c)
save_output(page(J, title="J = max(Δ + s_c − s, 0)"), "01-margin.html")

# %% What to take home
# ∂J/∂s = −1 and ∂J/∂s_c = +1 where the margin is violated, and 0 where it is met. The derivatives
# of J with respect to its two operands are asked of J alone: where the operands came from does not
# matter yet. It will in demo 03, in the weights that both scores share.
