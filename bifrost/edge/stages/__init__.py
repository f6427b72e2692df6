"""The actors of a pipeline: one per stage, each forwards to the next with `send`, so a slow sink slows the source.

In: batches in a mailbox. Out: batches in the next stage's mailbox, or in a sink. Not here: how stages are joined; that
is `bifrost.edge.assembly`.
"""
