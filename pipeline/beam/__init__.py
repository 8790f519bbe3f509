"""Who works off the Beam jobs: the options for each runner, and workers on a cluster."""
