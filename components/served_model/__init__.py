"""Finds the model that is served, for orchestrators that do not find what earlier runs made."""
