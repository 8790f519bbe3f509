"""Pictures and captions in numbers: encoding them once, keeping that, and ranking."""
