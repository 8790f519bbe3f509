"""The exported model: its signatures, and how they are called on many items."""
