"""The study project's set: Pokémon with captions in several languages, fetched from PokeAPI."""
