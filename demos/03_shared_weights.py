# %% One network, two scores
# Where do s and s_c come from? From one network, s = Uᵀ tanh(Wx + b), fed twice: with the true
# window "museums in Paris are amazing" (a place in the middle), and with the corrupted window
# "not all museums in Paris". Each word is a small vector, and a window is five of them in a row.
from tinygrad_margin import Value, depends_on, draw, explain, grad, margin_loss, page
from tinygrad_margin.cli.player import save_output
from tinygrad_margin.nn import WindowScorer

vectors = {
    "museums": [0.5, -0.2], "in": [0.1, 0.3], "Paris": [0.9, 0.4], "are": [-0.1, 0.2],
    "amazing": [0.3, -0.6], "not": [-0.7, 0.1], "all": [-0.2, -0.3],
}  # fmt: skip


def window(text):
    return [number for word in text.split() for number in vectors[word]]


net = WindowScorer(n_inputs=10, n_hidden=2, seed=224)
s = net(window("museums in Paris are amazing"))
s_c = net(window("not all museums in Paris"))
J = margin_loss(s, s_c)
print(f"s = {s.data:.4f}, s_c = {s_c.data:.4f}, J = {J.data:.4f}")

# %% The scores still do not depend on one another
# Both were computed from the same weights. But neither was computed from the other: no path leads
# from s to s_c, not even through the weights, for arrows lead *from* weights to scores, never back.
print("Does s_c depend on s?     ", depends_on(s_c, s))
print("Does s depend on W_11?    ", depends_on(s, net.W[0][0]))
print("Does s_c depend on W_11?  ", depends_on(s_c, net.W[0][0]))
print("∂J/∂s =", grad(J, s), " ∂J/∂s_c =", grad(J, s_c))

# %% The weights feel both
# Here the worry about "the same network" finds its place. Move W_11, and both scores move. Two
# paths lead from W_11 to J, one through s and one through s_c, and the chain rule adds them up:
#
#     ∂J/∂W_11 = ∂J/∂s · ∂s/∂W_11 + ∂J/∂s_c · ∂s_c/∂W_11 = −∂s/∂W_11 + ∂s_c/∂W_11
W_11 = net.W[0][0]
print(explain(J, W_11))

# %% The same, by halves
# Ask each score for its own derivative, and put the two together by hand.
half, half_c = grad(s, W_11), grad(s_c, W_11)
print(f"−∂s/∂W_11 + ∂s_c/∂W_11 = −({half:.6f}) + ({half_c:.6f}) = {-half + half_c:.6f}")
print(f" ∂J/∂W_11              = {grad(J, W_11):.6f}")

# %% The formulas of the notes
# The notes write the same sum with matrices: where J > 0, ∂J/∂U = a_c − a. Both halves are there,
# a with the minus of s and a_c with the plus of s_c.
a = [term.parents[1].data for term in s.parents]
a_c = [term.parents[1].data for term in s_c.parents]
for i, U_i in enumerate(net.U):
    print(f"∂J/∂{U_i.label} = {grad(J, U_i):.6f}   a_c − a = {a_c[i] - a[i]:.6f}")

# %% The picture
# To see it, take the network in miniature: one number a word and one hidden unit. The two halves
# of the graph are the two windows, x and x_c. The boxes with a heavy outline are W, b and U, the
# shared weights: two grey arrows leave each, one into either half, and two red ones come back.
small = {word: vector[0] for word, vector in vectors.items()}
tiny = WindowScorer(n_inputs=5, n_hidden=1, seed=1)


def inputs(words, name):
    return [Value(small[word], f"{name}{j}") for j, word in enumerate(words.split(), 1)]


s = tiny(inputs("museums in Paris are amazing", "x_"))
s_c = tiny(inputs("not all museums in Paris", "x_c"))
J = margin_loss(s, s_c)
print(explain(J, tiny.U[0]))
save_output(draw(J), "03-shared-weights.svg")

# %% Drag it yourself
# Drag U_1, a weight that both scores share: both s and s_c move, and J with them. Point at its box
# on the page, and the two paths light up on which its gradient comes. (Three words a window here,
# and the words as plain numbers, so that the weights are all there is to drag.)
tiny = WindowScorer(n_inputs=3, n_hidden=1, seed=1)
s = tiny([small["in"], small["Paris"], small["are"]])
s_c = tiny([small["not"], small["all"], small["museums"]])
J = margin_loss(s, s_c)
save_output(page(J, title="Two windows, one network"), "03-shared-weights.html")

# %% What to take home
# The student was right that the two scores have something in common. It is the weights, and there
# the gradient is a sum over both paths. But s and s_c are two nodes side by side, with no arrow
# from one to the other: −1 for the one, +1 for the other, and no ∂s_c/∂s.
