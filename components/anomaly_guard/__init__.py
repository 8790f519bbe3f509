"""Stops the run where ExampleValidator found something."""
