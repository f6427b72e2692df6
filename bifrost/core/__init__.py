"""The words everyone shares: quality, values, batches, ports, clocks, settings.

In: plain values. Out: immutable types. Not here: anything that waits, any protocol.
"""
