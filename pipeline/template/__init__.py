"""What this project does in its own way; dexmatch.toml names the functions."""
