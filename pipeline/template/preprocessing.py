"""What happens to captions before they are split into words, in training and when served."""

import tensorflow as tf

# Words that mean the same to us; regular expressions of RE2, in lower case.
SAME = {
    r"\bgrey(ish)?\b": "gray",
    r"\bcolour(s|ed|ful)?\b": r"color\1",
}


def normalize(captions: tf.Tensor) -> tf.Tensor:
    """Writes words that mean the same alike.

    Args:
      captions: string [N], in lower case.

    Returns:
      string [N], made by TensorFlow's own ops, and each of nothing but its caption.
    """
    for pattern, word in SAME.items():
        captions = tf.strings.regex_replace(captions, pattern, word)
    return captions
