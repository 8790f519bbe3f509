"""From pictures and captions in any common format to a validated, sharded data set."""
