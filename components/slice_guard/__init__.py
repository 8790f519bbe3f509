"""Stops the run where a threshold bounds a slice that nothing is in."""
