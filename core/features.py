"""Names, types and shapes of every feature that crosses a border between dexmatch's parts.

This is the one place that knows them. It imports nothing, so that importers and the command line
can use it without paying for TensorFlow.

One *pair* is one image with one caption, stored as one `tf.train.Example`:

| feature        | type  | values | meaning |
|----------------|-------|--------|---------------------------------------------------------------|
| `image`        | bytes | 1      | encoded PNG, JPEG, GIF or BMP file content |
| `caption`      | bytes | 1      | UTF-8 text, not empty |
| `id`           | bytes | 1      | unique within the data set |
| `group`        | bytes | 1      | pairs with the same group stay on one side of a split |
| `image_height` | int64 | 1      | pixels |
| `image_width`  | int64 | 1      | pixels |
| `hard_caption` | bytes | 0..n   | captions that are nearly right for this image, and wrong |

Every further feature is metadata (bytes, int64 or float; 0 or 1 value), used for slicing and for
choosing hard negatives. `PairSampler` adds the features below to the examples it writes.
"""

# Raw features, written by the importers.
IMAGE = "image"
CAPTION = "caption"
ID = "id"
GROUP = "group"
IMAGE_HEIGHT = "image_height"
IMAGE_WIDTH = "image_width"
HARD_CAPTION = "hard_caption"

# Features added by PairSampler.
LABEL = "label"
"""int64, 1 if the caption belongs to the image, else 0."""
PAIR_KIND = "pair_kind"
"""bytes, one of `MATCHED`, `RANDOM`, `HARD`."""
AGAINST = "against"
"""bytes, 1 or 2 values: the contests a pair takes part in. A wrong pair takes part in its own
kind's, a matched pair in all, so the slice `against:random` holds the matched pairs and the random
wrong ones, and its AUC is "AUC on random negatives"."""
CAPTION_ID = "caption_id"
"""bytes, the `id` of the pair that the caption was taken from; empty for a caption of its own."""

CAPTION_LENGTH = "caption_length"
"""bytes, bucket of the length of the pair's caption in characters, such as "101-200"."""
IMAGE_SIZE = "image_size"
"""bytes, bucket of the picture's longer side in pixels, such as "129-256"."""
BUCKETS = (CAPTION_LENGTH, IMAGE_SIZE)
"""Slices of our own making, which every data set has."""

MATCHED = "matched"
RANDOM = "random"
HARD = "hard"

REQUIRED = (IMAGE, CAPTION, ID, GROUP, IMAGE_HEIGHT, IMAGE_WIDTH)
RESERVED = frozenset((*REQUIRED, HARD_CAPTION, LABEL, PAIR_KIND, AGAINST, CAPTION_ID, *BUCKETS))
"""Names that a metadata column cannot have."""

# Splits.
TRAIN = "train"
VAL = "val"
TEST = "test"

# Features that Transform writes for the Trainer.
PIXELS = "pixels"
"""bytes, the fitted picture as lossless PNG: uint8 [size, size, 3], compact on disk."""
IS_VALID = "is_valid"
"""int64, 0 where the picture could not be decoded; the Trainer passes over such a row."""
TOKENS = "tokens"
"""int64 [max_tokens], word ids of the caption, 0 is padding, 1 an unknown word."""
HARD_TOKENS = "hard_tokens"
"""int64 [0..n * max_tokens], the word ids of each hard caption, one after another."""
GROUP_HASH = "group_hash"
"""int64, fingerprint of `group`: captions of the same group are no negatives."""

ATTRIBUTES = "attributes"
"""int64 [K], for each attribute that the model learns the id of its value, -1 where it has none."""

# A feature that the Trainer computes while the backbone is frozen.
IMAGE_FEATURES = "image_features"
"""float32 [F], what the frozen backbone says of a picture; it stands in for `PIXELS`."""

# Keys of the served model's signatures, beside IMAGE and CAPTION above.
EXAMPLES = "examples"
PROBABILITY = "probability"
EMBEDDING = "embedding"
IMAGE_EMBEDDING = "image_embedding"
CAPTION_EMBEDDING = "caption_embedding"
