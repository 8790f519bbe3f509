"""The demo data set: captioned creatures, drawn by a deterministic generator."""
