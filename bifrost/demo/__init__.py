"""The demo: a small plant, a gateway, a script of faults, and a verdict.

In: command-line options. Out: a live view, `gateway.toml`, the historian's file, a verdict and a picture. Not here:
anything that a plant would run; this room only uses what the rooms below give to everybody.
"""

__all__: list[str] = []
