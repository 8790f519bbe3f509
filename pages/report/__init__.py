"""The report: one HTML page on which people see whether to trust a model, where it fails, why."""
