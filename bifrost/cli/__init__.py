"""The `bifrost` command: arguments in, text on stdout and stderr and an exit code out. No logic of its own.

Exit codes: 0 it worked; 1 it failed while running, or a gateway refused; 2 the settings or the arguments are wrong and
nothing was started. Mistakes of the user are told on stderr without a traceback.
"""

__all__: list[str] = []
