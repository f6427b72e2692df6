"""The `bifrost` command: arguments in, text on stdout and stderr and an exit code out. No logic of its own.

Exit codes: 0 it worked; 1 it failed while running, or a gateway refused; 2 the settings or the arguments are wrong and
nothing was started or sent; 3 a value is BAD or was not written; 4 no device answered; 5 a write was sent and no answer
came, so that the device may have acted; 130 after Ctrl-C. Mistakes of the user are told on stderr without a traceback.

Layout: one file for each command; `link.py` and `asked_tags.py` are common to those that talk to a device by its URL,
`output.py` and `json_values.py` to all that print, `live_table.py` is the one that needs a terminal library.
"""

__all__: list[str] = []
