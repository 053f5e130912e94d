# %% Two leaves
# In J = max(Δ + s_c − s, 0) the scores s and s_c are leaves: nothing in this graph says where they
# came from. Two leaves are as independent as two numbers on a sheet of paper.
from tinygrad_margin import Value, beside, depends_on, explain, grad, margin_loss, page, paths
from tinygrad_margin.cli.player import save_output

s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
J = margin_loss(s, s_c)
print("Does s_c depend on s?", depends_on(s_c, s))
print("Does s depend on s_c?", depends_on(s, s_c))

# %% Wiggle s
# A derivative is an answer to a question: if I move this and nothing else, how does that move?
# Move s by 0.001 and leave s_c where it is: J falls by 0.001. That is the −1.
moved = margin_loss(Value(0.301), Value(0.5))
print("J moves by", round(moved.data - J.data, 6))
print("∂J/∂s =", grad(J, s))

# %% No path, no derivative
# How many paths lead from s to s_c? None. So there is nothing to multiply, and ∂s_c/∂s never
# appears: not because somebody set it to zero, but because nobody asks for it.
print("paths from s to s_c:", list(paths(s_c, s)))
print(explain(s_c, s))
two_leaves = J

# %% Make one depend on the other
# Now *make* s_c depend on s, say s_c = s/2. An edge appears in the graph. When s moves, s_c moves
# too, and a second path leads from s to J: the old one with −1, and one through s_c with +1 · 1/2.
s = Value(0.3, "s")
s_c = s / 2
s_c.label = "s_c"
J = margin_loss(s, s_c)
print("Does s_c depend on s?", depends_on(s_c, s))
print(explain(J, s))

# %% Side by side
# On one side two leaves, on the other the same formula with one more edge, from s to s_c.
save_output(beside({"s and s_c are leaves": two_leaves, "s_c = s/2": J}), "02-side-by-side.svg")

# %% Drag it yourself
# On this page s is the only score to drag, and s_c moves along. ∂J/∂s is −1/2, not −1.
save_output(page(J, title="J = max(Δ + s_c − s, 0), where s_c = s/2"), "02-one-edge-more.html")

# %% The graph decides
# −1 + 1/2 = −1/2. The formula for J is the same, and so are the names; the graph is another one.
# Here ∂s_c/∂s = 1/2 is asked for, since here there is an edge. The graph decides, not the names.
print("∂J/∂s   =", grad(J, s))
print("∂J/∂s_c =", grad(J, s_c))
