"""bifrost joins the machines on a factory floor to modern computing: supervised actors for PLCs, pipelines and uplinks.

In: nothing at import; no optional dependency, no global state, no signal or logging handler is touched.
"""
