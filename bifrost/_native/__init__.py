"""The gate to Rust: re-exports the built extension. No Python logic here.

In: bytes and columns. Out: columns and small value objects. `_rust.pyi` is the contract, checked by stubtest.
"""
