"""Under construction in this very slice."""
