"""The colours of the pictures, by name, on a light and on a dark page.

>>> LIGHT["red"], DARK["red"]
('#c0392b', '#ff8a7a')
"""

_COLOURS = {
    "paper": ("#ffffff", "#14171b"),
    "ink": ("#1b1f24", "#e8eaed"),
    "soft": ("#4f5963", "#b3bcc6"),
    "grey": ("#5f6973", "#9aa4b0"),
    "pale": ("#8b949d", "#6b7480"),
    "red": ("#c0392b", "#ff8a7a"),
    "pink": ("#c4776d", "#a8695f"),
    "quiet": ("#7a6663", "#b59f9b"),
    "blue": ("#2f66b3", "#6ea3ef"),
    "green": ("#1f7a43", "#56c586"),
    # What boxes are filled with.
    "input": ("#e8f1fd", "#1b2c45"),
    "shared": ("#c9dcf6", "#28446d"),
    "constant": ("#eff1f3", "#262b31"),
    "operation": ("#ffffff", "#1a1e23"),
    "root": ("#e6f6ec", "#17352a"),
    "current": ("#fdf0ee", "#43221f"),
    "failed": ("#fbdcd7", "#5a211b"),
}
LIGHT = {name: light for name, (light, _) in _COLOURS.items()}
DARK = {name: dark for name, (_, dark) in _COLOURS.items()}
