"""Checks what people write into files, and tells every mistake of a file at once, each with its line.

In: a path, or plain tables. Out: checked structs, or one `ConfigError`. Not here: what any section means; a gateway's
sections are `bifrost.gateway.sections`, a list of tags is `bifrost.plc.tag_files`.

Layout: `toml_file.py` reads as far as can be read, `positions.py` finds lines; `checker.py`, `plain_types.py` and
`salvage.py` hold tables against types; `mistakes.py` says what was found.
"""

__all__: list[str] = []
